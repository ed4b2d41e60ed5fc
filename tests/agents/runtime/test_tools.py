"""A tool's failure never ends the run."""

import asyncio
from pathlib import Path

from django.test import SimpleTestCase

from agents.runtime import tools
from agents.runtime.events import ToolCall
from agents.runtime.tools import TOOLS, run_tools, tool_names
from agents.runtime.tools.base import Arguments, Tool, ToolError


class Wanted(Arguments):
    what: str


async def fetch(arguments: Wanted) -> str:
    """Fetch
    what is wanted."""
    if arguments.what == "nothing":
        raise ToolError("There is nothing.")
    if arguments.what == "a moment":
        await asyncio.sleep(60)
    return f"Here is {arguments.what}, {1 // len(arguments.what)}"


FETCH = Tool(fetch, Wanted, time_limit=0.01)


class ToolTests(SimpleTestCase):
    async def result_of(self, arguments: str) -> tuple[str, bool]:
        result = await FETCH.run(ToolCall("1", "fetch", arguments))
        self.assertEqual((result.id, result.name), ("1", "fetch"))
        return result.content, result.is_error

    def test_the_model_gets_what_the_function_returns(self) -> None:
        spec = FETCH.spec
        self.assertEqual((spec.name, spec.description), ("fetch", "Fetch what is wanted."))
        self.assertEqual(spec.parameters["required"], ["what"])
        self.assertIs(spec.parameters["additionalProperties"], False)

    async def test_a_result(self) -> None:
        self.assertEqual(await self.result_of('{"what": "x"}'), ("Here is x, 1", False))

    async def test_what_the_tool_cannot_do(self) -> None:
        self.assertEqual(await self.result_of('{"what": "nothing"}'), ("There is nothing.", True))

    async def test_a_tool_that_takes_too_long(self) -> None:
        content, is_error = await self.result_of('{"what": "a moment"}')
        self.assertTrue(is_error)
        self.assertIn("seconds", content)

    async def test_wrong_arguments(self) -> None:
        for arguments in ("", "[]", "{", '{"what": 1}', '{"what": "x", "more": 1}'):
            with self.subTest(arguments=arguments):
                content, is_error = await self.result_of(arguments)
                self.assertTrue(is_error)
                self.assertIn("not valid", content)

    async def test_a_tool_that_breaks_keeps_its_reason_to_the_log(self) -> None:
        with self.assertLogs("agents.runtime", "ERROR") as logs:
            content, is_error = await self.result_of('{"what": ""}')
        self.assertEqual((content, is_error), ("The tool failed.", True))
        self.assertIn("ZeroDivisionError", logs.output[0])


class RunToolsTests(SimpleTestCase):
    def test_names(self) -> None:
        files = {path.stem for path in Path(tools.__file__).parent.glob("*.py")}
        self.assertEqual(set(tool_names()), files - {"__init__", "base", "prepare"})
        self.assertIn("current_time", tool_names())

    async def test_a_tool_that_was_not_given_is_not_run(self) -> None:
        (result,) = await run_tools([ToolCall("1", "current_time", "{}")], allowed=())
        self.assertTrue(result.is_error)

    async def test_current_time_in_a_zone(self) -> None:
        tool = TOOLS["current_time"]
        for zone, offset in (("Asia/Kolkata", "+05:30"), ("UTC", "+00:00"), ("", "+00:00")):
            result = await tool.run(ToolCall("1", tool.name, f'{{"timezone": "{zone}"}}'))
            self.assertIn(offset, result.content)
        for zone in ("Mars/Base", "../../etc/passwd", "Europe"):
            result = await tool.run(ToolCall("1", tool.name, f'{{"timezone": "{zone}"}}'))
            self.assertTrue(result.is_error)
