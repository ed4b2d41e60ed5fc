"""What the tests of the project's shape read: its Python files, templates and SQL, by path."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
# Each app may import those to its right.
LAYERS = ("sessions_app", "agents", "accounts", "salient")
type Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> list[Path]:
    """Return the Python files of the folders; of all four apps when none is named."""
    return sorted(path for folder in folders or LAYERS for path in (ROOT / folder).rglob("*.py"))


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


def app_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def is_migration(path: Path) -> bool:
    return "migrations" in path.parts


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text())))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Return the dotted name of every module, and of every name, that the file imports."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in nodes(path):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.Call(
                func=ast.Attribute(attr=called) | ast.Name(id=called),
                args=[ast.Constant(value=str(name)), *_],
            ) if called.endswith("import_module"):
                yield name


def functions(path: Path) -> Iterator[Function]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@cache
def strings(path: Path) -> tuple[str, ...]:
    """Return the text of every string of the file, docstrings excepted."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in nodes(path)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return tuple(
        node.value
        for node in nodes(path)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    )


def lookups(path: Path) -> Iterator[str]:
    """Yield what may name a relation: attributes, and the parts of lookups given to calls."""
    for node in nodes(path):
        match node:
            case ast.Attribute(attr=name):
                yield name
            case ast.Call(args=args, keywords=keywords):
                for arg in args:
                    match arg:
                        case ast.Constant(value=str(text)):
                            yield from text.split("__")
                for keyword in keywords:
                    yield from (keyword.arg or "").split("__")


QUERIES = {"objects", "_default_manager", "_base_manager"}
QUERY_CALLS = {"filter", "raw", "cursor"}
# Where Django itself asks an admin class for a queryset.
QUERY_METHODS = re.compile(
    r"get_queryset|get_search_results|queryset|lookups|formfield_for_\w+", re.ASCII
)


def query_lines(path: Path) -> set[int]:
    """Return the lines that query the database outside the methods made for that."""
    allowed = {
        id(inner)
        for node in nodes(path)
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef) and QUERY_METHODS.fullmatch(method.name)
        for inner in ast.walk(method)
    }
    return {
        node.lineno
        for node in nodes(path)
        if id(node) not in allowed
        and (
            (isinstance(node, ast.Attribute) and node.attr in QUERIES)
            or (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in QUERY_CALLS
            )
        )
    }


CLOCKS = {"now", "today", "utcnow"}


def clock_reads(path: Path) -> list[int]:
    """Return the lines that read the clock while the file is imported."""
    reads = [
        node
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
    ]
    # Few files read it at all, and walking through the functions of the others takes seconds.
    later = reads and {
        id(inner)
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        # The values of defaults and decorators are computed at once.
        for body in (node.body if isinstance(node.body, list) else [node.body])
        for inner in ast.walk(body)
    }
    return [node.lineno for node in reads if id(node) not in later]


def named_templates(text: str) -> set[str]:
    return set(re.findall(r"""{%\s*(?:extends|include)\s+["']([\w./-]+)["']""", text))


def named_urls(text: str) -> list[str]:
    return re.findall(r"""{%\s*url\s+["']([\w:-]+)["']""", text)


@cache
def templates() -> dict[str, str]:
    """Return each template with its lowest app: one that names it, or whose template reads it.

    What nobody names takes the place of one of Django's own pages. It belongs to the app that its
    folder names, else to `accounts`, which has the admin site.
    """
    folder = ROOT / "templates"
    texts = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*.*"))}
    owners: dict[str, str] = {}
    for app in reversed(LAYERS):
        named = {text for path in sources(app) for text in strings(path)} - {"admin/"}
        named.add(f"admin/{app}/")
        # An f-string names a whole folder: f"admin/instance/{page}.html".
        found = {name for name in texts if {name, name[: name.rfind("/") + 1]} & named}
        while new := found - owners.keys():
            owners |= dict.fromkeys(new, app)
            found = {name for each in new for name in named_templates(texts[each].read_text())}
            found &= texts.keys()
    return {name: owners.get(name, "accounts") for name in texts}


def counts(found: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the places at which something was found, and how often."""
    total: Counter[str] = Counter()
    for name, number in found:
        total[name] += number
    return {name: number for name, number in sorted(total.items()) if number}
