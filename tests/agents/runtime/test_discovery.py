"""A new module in the tools or the providers is found without being named anywhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import invalidate_caches
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from django.test import SimpleTestCase

from agents.runtime import tools
from agents.runtime.events import ToolCall
from agents.runtime.providers import find_provider, model_problem, registry
from agents.runtime.providers.registry import find_providers
from agents.runtime.tools import find_tools, run_tools
from tests.support.commands import python

TOOL = """
from agents.runtime.tools.base import Arguments, Tool

class Nothing(Arguments):
    pass

async def throw_away(arguments: Nothing) -> str:
    "Answer done."
    return "done"

TOOL = Tool(throw_away, Nothing)
"""
PROVIDER = """
from agents.runtime.providers.base import RegisteredProvider
from agents.runtime.providers.scripted import Scripted

PROVIDERS = (
    RegisteredProvider(
        name="throw-away",
        find=lambda model: Scripted() if model == "echo" else "There is only echo.",
        model_prefixes=("throwing",),
    ),
)
"""


@contextmanager
def package(**modules: str) -> Iterator[str]:
    """A package of these modules, by its name, until the end of the block."""
    with TemporaryDirectory() as folder, mock.patch.object(sys, "path", [folder, *sys.path]):
        name = "throw_away_package"
        home = Path(folder, name)
        home.mkdir()
        for module, text in {"__init__": "", **modules}.items():
            (home / f"{module}.py").write_text(text)
        invalidate_caches()
        with mock.patch.dict(sys.modules):
            yield name


class ToolTests(SimpleTestCase):
    async def test_a_module_with_a_tool_is_found_and_one_without_is_not_in_the_way(self) -> None:
        with package(helper="LIMIT = 3", new=TOOL) as name:
            found = find_tools(name)

        self.assertEqual(list(found), ["throw_away"])
        with mock.patch.object(tools, "TOOLS", found):
            (result,) = await run_tools([ToolCall("1", "throw_away", "{}")], ["throw_away"])
        self.assertEqual((result.content, result.is_error), ("done", False))

    def test_two_tools_of_one_name_stop_the_start(self) -> None:
        with package(one=TOOL, two=TOOL) as name, self.assertRaisesRegex(ValueError, "throw_away"):
            find_tools(name)


class ProviderTests(SimpleTestCase):
    def test_a_module_with_a_provider_is_found_and_answers(self) -> None:
        with package(helper="LIMIT = 3", new=PROVIDER) as name:
            found = find_providers(name)

        with mock.patch.object(registry, "_PROVIDERS", found):
            provider, owner, model = find_provider("throw-away:echo")
            self.assertEqual((owner, model), ("throw-away", "echo"))
            self.assertTrue(provider.supports_tools)
            self.assertEqual(model_problem("throw-away:other"), "There is only echo.")
            self.assertIn("throw-away:throwing-1", model_problem("throwing-1") or "")

    def test_two_providers_of_one_name_stop_the_start(self) -> None:
        modules = {"one": PROVIDER, "two": PROVIDER}
        with package(**modules) as name, self.assertRaisesRegex(ValueError, "throw-away"):
            find_providers(name)

    def test_finding_them_imports_no_slow_or_optional_package(self) -> None:
        program = (
            "import sys, agents.runtime.providers, agents.runtime.tools;"
            "print(sorted({'pydantic_ai', 'xllamacpp', 'anthropic', 'boto3'} & set(sys.modules)))"
        )
        env = {"DJANGO_SETTINGS_MODULE": "salient.settings", "SECRET_KEY": "x", "DEBUG": "true"}
        self.assertEqual(python(program, **env), "[]\n")
