"""`manage.py chat ACCOUNT INSTANCE`: talk to an agent in the terminal."""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec
from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from agents.management.look_up import find_instance
from salient.api.problems import Problem
from salient.management.base import Misused, Refused, ReportingCommand
from sessions_app.turns.terminal import Conversation, event_loop, operator, summary

INTERRUPTED = 130


class Command(ReportingCommand):
    """Streams the answer; Ctrl-C stops it and settles its turn."""

    help = "Talk to an agent in the terminal."
    writes = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("instance", help="the agent's slug")
        parser.add_argument("--message", help="send this message, print the answer and exit")
        parser.add_argument("--session", type=UUID, metavar="ID", help="continue this session")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        quiet, message = options["json"], options["message"]
        if quiet and message is None:
            raise Misused("--json needs --message.")
        account = find_account(options["account"])
        conversation = Conversation(
            operator(account),
            find_instance(account, options["instance"]),
            (lambda _: None) if quiet else self._say,
            options["session"],
        )
        with event_loop() as runner:
            if message is not None:
                return self._once(runner, conversation, message, quiet=quiet)
            self._talk(runner, conversation)
        return {"session_id": conversation.session_id}

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if report["session_id"]:
            yield self.style.HTTP_NOT_MODIFIED(f"session {report['session_id']}")

    def _once(
        self, runner: asyncio.Runner, conversation: Conversation, message: str, *, quiet: bool
    ) -> Mapping[str, Any]:
        try:
            answer = runner.run(conversation.turn(message))
        except Problem as problem:
            raise Refused(problem.detail) from problem
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        if not quiet:
            self._note(summary(answer))
        found: dict[str, Any] = msgspec.to_builtins(answer)
        return found

    def _talk(self, runner: asyncio.Runner, conversation: Conversation) -> None:
        """Send message after message until the input ends (Ctrl-D)."""
        for message in self._messages():
            try:
                answer = runner.run(conversation.turn(message))
                self._note(summary(answer))
            except Problem as problem:
                self.stderr.write(f"\n{problem.detail}")
            except KeyboardInterrupt:
                self._note("stopped")

    def _messages(self) -> Iterator[str]:
        terminal = sys.stdin.isatty()
        if terminal:
            self.stdout.write("Write a message; Ctrl-C stops an answer, Ctrl-D ends.")
        while True:
            try:
                line = input("> " if terminal else "")
            except (EOFError, KeyboardInterrupt):
                return
            if line.strip():
                yield line

    def _say(self, text: str) -> None:
        self.stdout.write(text, ending="")
        self.stdout.flush()

    def _note(self, text: str) -> None:
        self.stdout.write(f"\n{self.style.HTTP_NOT_MODIFIED(text)}")
