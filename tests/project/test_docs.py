"""The documentation says what the code does: links, settings, routes, errors, commands."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.core.management import get_commands
from django.test import SimpleTestCase
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.limits.registry import LIMITS
from agents.runtime.errors import RunError
from agents.runtime.providers import registered_providers
from salient.api.limits import UnknownHost
from salient.api.problems import Problem
from salient.api.problems.server_refusals import REFUSALS
from sessions_app.turns.problems import ProviderFailed, provider_problem
from tests.support.docs import ROOT, quoted, rows

README, API = ROOT / "README.md", ROOT / "docs/api.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
OURS = ("accounts", "agents", "salient", "sessions_app")
# What these modules read is set by the code itself.
PRIVATE = {"DJANGO_SETTINGS_MODULE"}


def prose(page: Path) -> str:
    """Return the page without its blocks of code."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^    .*$", "", text, flags=re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as Git hosts make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class LinkTests(SimpleTestCase):
    def test_every_relative_link_leads_somewhere(self) -> None:
        for page in PAGES:
            for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
                if re.match(r"[a-z]+:", link):
                    continue
                with self.subTest(page=page.name, link=link):
                    name, _, anchor = link.partition("#")
                    target = (page.parent / name) if name else page
                    self.assertTrue(target.exists())
                    if anchor:
                        self.assertIn(anchor, anchors(target))

    def test_every_named_file_is_there(self) -> None:
        suffixes = r"`([\w./-]+/[\w.-]+\.(?:py|md|yaml|txt|toml))`"
        for page in [README, ROOT / "docs/architecture.md", ROOT / "docs/operations.md"]:
            for name in re.findall(suffixes, prose(page)):
                with self.subTest(page=page.name, name=name):
                    self.assertTrue((ROOT / name).exists())

    def test_every_term_of_the_glossary_names_its_module(self) -> None:
        page = ROOT / "docs/architecture.md"
        glossary = rows(page, "term", "meaning", "where")
        terms = [term for term, *_ in glossary]

        self.assertIn("tenant context", terms)
        self.assertEqual(terms, sorted(set(terms), key=str.lower))
        for term, meaning, where in glossary:
            with self.subTest(term=term):
                self.assertTrue(meaning)
                self.assertTrue(quoted(where))
                self.assertEqual([n for n in quoted(where) if not (ROOT / n).is_file()], [])

    def test_every_named_command_is_there(self) -> None:
        for page in PAGES:
            for name in set(re.findall(r"manage\.py ([a-z_]+)", page.read_text())):
                with self.subTest(page=page.name, command=name):
                    self.assertIn(name, get_commands())

    def test_every_named_make_target_is_there(self) -> None:
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        for page in PAGES:
            named = re.findall(r"(?:`|^    )make ([a-z]+)", page.read_text(), re.MULTILINE)
            with self.subTest(page=page.name):
                self.assertEqual(set(named) - targets, set())

    def test_the_changelog_knows_the_version(self) -> None:
        version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

        self.assertIn(f"## [{version}]", (ROOT / "CHANGELOG.md").read_text())


# Where settings are declared, as salient/environment/reader.py reads them.
DECLARING = {"settings.py", "values.py"}


def read_names(path: Path) -> Iterator[tuple[str, ast.expr | None]]:
    """Give each environment variable that the file reads by a literal name, with its default."""
    text = path.read_text()
    # Reading the syntax of every file takes long, and few have what is looked for.
    tree = ast.parse(text if path.name in DECLARING or "environ" in text else "")
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=value), args=[ast.Constant(value=str(name)), *_]
            ):
                if ast.unparse(value) == "env" and path.name in DECLARING:
                    default = next((k.value for k in node.keywords if k.arg == "default"), None)
                    yield name, default
                elif ast.unparse(value) == "os.environ":
                    yield name, None
            case ast.Subscript(value=value, slice=ast.Constant(value=str(name))):
                if ast.unparse(value) == "os.environ":
                    yield name, None
    if path == ROOT / "salient/settings.py":
        # The settings read these from the registry.
        for limit in LIMITS.values():
            if limit.default is not None:
                yield limit.setting, ast.Constant(limit.default)


def sources() -> Iterator[Path]:
    for folder in OURS:
        yield from (ROOT / folder).rglob("*.py")
    yield from (ROOT / "gunicorn.conf.py", ROOT / "bin/bootstrap.py")


class SettingTests(SimpleTestCase):
    """README.md lists every environment variable that is read, and none besides."""

    def test_the_tables_are_complete(self) -> None:
        read = {name for path in sources() for name, _ in read_names(path)} - PRIVATE
        makefile = (ROOT / "Makefile").read_text()
        read |= set(re.findall(r"^([A-Z0-9]+) \?=", makefile, re.MULTILINE))
        documented = [name for row in rows(README, "name", "default") for name in quoted(row[0])]

        self.assertEqual(sorted(documented), sorted(read))

    def test_the_defaults_are_true(self) -> None:
        written = {quoted(row[0])[0]: row[1] for row in rows(README, "name", "default")}
        for name, default in read_names(ROOT / "salient/settings.py"):
            with self.subTest(name=name):
                shown = (quoted(written[name]) or [""])[0]
                match default:
                    case ast.Constant(value=bool(value)):
                        self.assertEqual(shown, str(value).lower())
                    case ast.Constant(value=int() | float() as number):
                        self.assertEqual(float(shown), float(number))
                    case ast.Constant(value=str(text)) if text:
                        self.assertEqual(shown, text)

    def test_every_provider_is_listed_with_its_key(self) -> None:
        listed = {quoted(row[0])[0]: quoted(row[1]) for row in rows(README, "provider", "key")}
        keys = {each.name: list(each.key_variables) for each in registered_providers()}

        self.assertEqual(listed, keys)


def routes(patterns: Any = None, prefix: str = "/") -> Iterator[tuple[str, Any]]:
    """Give every address of the API with its view."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from routes(each.url_patterns, path)
        elif isinstance(each, URLPattern):
            yield re.sub(r"<str:(\w+)>", r"{\1}", path), each.callback


def is_api(path: str) -> bool:
    return path in {"/healthz", "/readyz", "/metrics", "/openapi.json"} or (
        path.startswith("/accounts/") and not path.endswith("/")
    )


class RouteTests(SimpleTestCase):
    def test_every_route_is_listed_with_its_methods_scope_and_rate(self) -> None:
        listed = {
            (quoted(path)[0], quoted(method)[0]): (*quoted(scope), *quoted(rate))
            for method, path, scope, rate, _ in rows(API, "method", "path")
        }
        there = {
            (path, method): (operation.scope, operation.rate) if operation.scope else ()
            for path, view in routes()
            if is_api(path)
            for method, operation in view.operations.items()
        }

        self.assertEqual(listed, there, "write the tables of docs/api.md with `make map`")


def subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith(OURS):
            yield each
            yield from subclasses(each)


class ErrorTests(SimpleTestCase):
    def test_every_error_code_is_listed_with_its_status(self) -> None:
        # Whatever can be answered is loaded with the routes and their handler.
        self.assertTrue(list(routes()))
        self.assertTrue(issubclass(UnknownHost, Problem))
        self.assertTrue(REFUSALS)
        # A model's failures have the codes of the runtime, below.
        problems = {each for each in subclasses(Problem) if not issubclass(each, ProviderFailed)}
        # A class without a code of its own is only there for others to derive from.
        named = {each for each in problems if "code" in vars(each)}
        there = {each.code: int(each.status) for each in named}
        for failure in subclasses(RunError):
            problem = provider_problem(failure(), uuid4(), uuid4())
            there[problem.code] = int(problem.status)
        listed = {quoted(code)[0]: int(status) for code, status, _ in rows(API, "code", "status")}

        self.assertEqual(listed, there)
