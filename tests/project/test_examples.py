"""The examples in the documentation are those of the shipped files, and can be copied."""

from __future__ import annotations

import ast
import builtins
import re
from importlib import import_module
from pathlib import Path
from textwrap import dedent

from django.core.management import get_commands, load_command_class
from django.test import SimpleTestCase

from agents.api import views
from agents.config.files import ACCOUNT_FILE, InstanceFiles
from tests.support.docs import ROOT, quoted, rows

README, API = ROOT / "README.md", ROOT / "docs/api.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
NAMED = (ast.alias, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
SHIPPED = ROOT / "config/agent_configs"
# The page says in words that this one holds the caller's key.
KEY = "KEY"


def code(page: Path) -> str:
    """Return the page's indented blocks and what it has in backquotes."""
    text = page.read_text()
    blocks = re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", text)])


class ShippedAgentTests(SimpleTestCase):
    """The demo's agent, as a running server describes it."""

    def setUp(self) -> None:
        # Not account.yaml: which model the demo has differs between machines.
        files = InstanceFiles(SHIPPED, "default", "simple-chat")
        layers = [layer for layer in files.layers() if layer.origin != ACCOUNT_FILE]
        self.agent = files.effective(layers)

    def test_its_version_is_the_one_that_is_shown(self) -> None:
        version = self.agent.digest[:12]
        answers = re.findall(r'"config_version": ?"(\w+)"', API.read_text())
        checked = re.findall(
            r"default/simple-chat .* version (\w+)", (ROOT / "docs/configuration.md").read_text()
        )

        self.assertEqual({*answers}, {version})
        self.assertEqual(checked, [version])

    def test_its_opening_message_is_the_one_that_is_shown(self) -> None:
        shown = re.findall(r'"opening_message": ?"([^"]+)"', API.read_text())

        self.assertEqual(shown, [self.agent.config.opening_message])


class ShellTests(SimpleTestCase):
    def test_every_variable_of_an_example_is_set_on_its_page(self) -> None:
        text = code(README)
        used = set(re.findall(r"\$([A-Z_]+)", text))
        given = set(re.findall(r"^([A-Z_]+)=", text, re.MULTILINE))
        self.assertEqual(used - given, {KEY})

    def test_the_key_of_the_first_steps_may_do_what_they_show(self) -> None:
        text = README.read_text()
        [made] = re.findall(r"^ +\S+ manage\.py create_key .*$", text, re.MULTILINE)
        needed = re.findall(r"\(scope `([\w:]+)`\)", text)

        self.assertTrue(needed)
        scopes = {*re.findall(r"--scope (\S+)", made)}
        self.assertLessEqual({"chat", "history:read", *needed}, scopes)


class CommandTests(SimpleTestCase):
    def test_the_commands_without_a_dry_run_are_those_that_are_named(self) -> None:
        sentences = r"all that write `--dry-run`, except.*?\n\n"
        [sentence] = re.findall(sentences, README.read_text(), re.DOTALL)
        named = [name for row in rows(README, "command", "does") for name in quoted(row[0])]
        # Its sub-commands have options of their own.
        named.remove("config")

        without = {name for name in named if "--dry-run" not in options_of(name)}
        self.assertEqual(without, {*quoted(sentence)} & {*named})
        self.assertEqual([name for name in named if "--json" not in options_of(name)], ["worker"])


class RecipeTests(SimpleTestCase):
    """The Python of the recipes for contributors names what there is."""

    def setUp(self) -> None:
        text = CONTRIBUTING.read_text()
        found = re.findall(r"^   ```python\n(.*?)^   ```", text, re.MULTILINE | re.DOTALL)
        self.trees = [ast.parse(dedent(each)) for each in found]
        # What the recipes make.
        self.new = set(re.findall(r"^1\. `(agents/\S+)\.py`", text, re.MULTILINE))

    def test_what_they_import_is_there(self) -> None:
        nodes = [node for tree in self.trees for node in ast.walk(tree)]
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
        self.assertGreater(len(imports), 10)
        for node in imports:
            if str(node.module).replace(".", "/") not in self.new:
                for name in node.names:
                    self.assertTrue(hasattr(import_module(str(node.module)), name.name), name.name)

    def test_what_they_use_is_theirs_or_of_the_module_that_they_extend(self) -> None:
        for tree in self.trees:
            of_module = {} if ast.get_docstring(tree) else vars(views)
            nodes = [*ast.walk(tree)]
            names = [node for node in nodes if isinstance(node, ast.Name)]
            known = {*vars(builtins), *of_module}
            known |= {each.id for each in names if isinstance(each.ctx, ast.Store)}
            known |= {each.arg for each in nodes if isinstance(each, ast.arg)}
            known |= {each.name for each in nodes if isinstance(each, NAMED)}
            self.assertEqual({each.id for each in names} - known, set())


def options_of(name: str) -> set[str]:
    app = get_commands()[name]
    parser = load_command_class(str(app), name).create_parser("manage.py", name)
    return {option for action in parser._actions for option in action.option_strings}
