"""The sections of a prompt: cut where its author cut it, measured, and stored once."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from asgiref.sync import async_to_sync
from django.db import connection
from django.test import SimpleTestCase, TestCase, TransactionTestCase
from django.test.utils import CaptureQueriesContext

from accounts.tenancy.context import platform_context, tenant_context
from agents.config.versions.current import current_config
from agents.runtime.run import ChatMessage
from sessions_app.models import PromptSection
from sessions_app.turns import prompts
from tests.support.database.stored import as_platform, count_of, rows_of
from tests.support.factories import make_account, make_instance, make_llm_request, make_session
from tests.support.fixtures import AgentFixtures, stored

PROMPT = "You help.\n\n# Tone\nBe kind.\n\n## Never\nLie.\n"
TOOLED = "model: scripted:echo\ntools: [current_time]\n"


class SplitTests(SimpleTestCase):
    def names(self, prompt: str) -> list[str]:
        return [name for name, _ in prompts.split(prompt)]

    def test_headings_name_the_parts(self) -> None:
        self.assertEqual(
            list(prompts.split(PROMPT)),
            [
                ("system prompt", "You help.\n\n"),
                ("system prompt: Tone", "# Tone\nBe kind.\n\n"),
                ("system prompt: Never", "## Never\nLie.\n"),
            ],
        )

    def test_the_parts_are_the_prompt_again(self) -> None:
        many = "".join(f"# {number}\ntext\n" for number in range(40))
        for prompt in (PROMPT, "plain", "# one", "\n# late\r\n\u2028# no heading", many, "#\n# \n"):
            with self.subTest(prompt=prompt[:20]):
                self.assertEqual("".join(text for _, text in prompts.split(prompt)), prompt)

    def test_a_hash_in_a_fenced_block_is_no_heading(self) -> None:
        prompt = "Run:\n```\n# a comment\n~~~\n# another\n```\n# Real\n"

        self.assertEqual(self.names(prompt), ["system prompt", "system prompt: Real"])

    def test_a_heading_at_the_start_makes_no_empty_section(self) -> None:
        self.assertEqual(self.names("# Role\nHelp."), ["system prompt: Role"])

    def test_a_prompt_of_a_hundred_headings_is_a_dozen_parts(self) -> None:
        many = "".join(f"# {number}\n" for number in range(100))

        self.assertEqual(len(self.names(many)), prompts.MOST_PARTS)


class SectionsTests(AgentFixtures, TransactionTestCase):
    """Outside a TestCase's transaction, because texts count as stored once they are committed."""

    config = TOOLED

    def setUp(self) -> None:
        super().setUp()
        self.configure(TOOLED, PROMPT)

    def sections(self, *history: str) -> prompts.Sections:
        with tenant_context(self.account.pk):
            current = current_config("acme", self.instance)
        messages = [ChatMessage("user", text) for text in (*history, "größer?")]
        return prompts.sections_of(current.run_request(messages, stream=True), current)

    def store(self, sections: prompts.Sections, account: Any = None) -> int:
        with (
            CaptureQueriesContext(connection) as queries,
            tenant_context((account or self.account).pk),
        ):
            prompts.store_sections((account or self.account).pk, sections)
        return sum("prompt_sections" in query["sql"] for query in queries)

    def stored(self) -> int:
        return count_of(PromptSection)

    def test_each_part_has_name_source_size_and_the_digest_of_its_text(self) -> None:
        first, *_, tool, message = self.sections()

        text = "You help.\n\n"
        self.assertEqual(
            first,
            {
                "name": "system prompt",
                "source": "system_prompt.md",
                "bytes": len(text),
                "tokens": 3,
                "digest": sha256(text.encode()).hexdigest(),
            },
        )
        self.assertEqual(tool["name"], "tool: current_time")
        self.assertEqual(
            message,
            {"name": "user message", "source": "messages", "bytes": 9, "tokens": 3, "messages": 1},
        )

    def test_the_history_is_measured_and_its_texts_are_nowhere(self) -> None:
        sections = self.sections("secret-history", "more")

        self.assertEqual([row["messages"] for row in sections if "messages" in row], [2, 1])
        self.assertEqual(sections[-2]["bytes"], len("secret-historymore"))
        self.assertNotIn("secret-history", f"{sections}{sections.texts}")

    def test_the_bytes_are_those_of_the_whole_prompt(self) -> None:
        parts = [row for row in self.sections() if row["name"].startswith("system prompt")]

        self.assertEqual(sum(row["bytes"] for row in parts), len(PROMPT.strip().encode()))

    def test_a_text_is_stored_once_and_then_needs_no_query(self) -> None:
        self.assertEqual(self.store(self.sections()), 1)
        self.assertEqual(self.store(self.sections("another", "turn")), 0)
        self.assertEqual(self.stored(), 4)

    def test_a_process_that_knows_nothing_stores_nothing_twice(self) -> None:
        self.store(self.sections())
        prompts._stored.clear()

        self.assertEqual(self.store(self.sections()), 1)
        self.assertEqual(self.stored(), 4)

    def test_a_text_that_was_rolled_back_is_stored_by_the_next_turn(self) -> None:
        with self.assertRaises(ZeroDivisionError), tenant_context(self.account.pk):
            prompts.store_sections(self.account.pk, self.sections_inside())
            raise ZeroDivisionError

        self.assertEqual(self.store(self.sections()), 1)
        self.assertEqual(self.stored(), 4)

    def sections_inside(self) -> prompts.Sections:
        current = current_config("acme", self.instance)
        return prompts.sections_of(
            current.run_request([ChatMessage("user", "hi")], stream=True), current
        )

    def test_whether_they_are_stored_needs_no_query(self) -> None:
        sections = self.sections()

        self.assertFalse(prompts.are_stored(self.account.pk, sections))
        self.store(sections)
        with CaptureQueriesContext(connection) as queries:
            self.assertTrue(prompts.are_stored(self.account.pk, sections))
        self.assertEqual(len(queries), 0)

    def test_each_account_has_texts_of_its_own(self) -> None:
        sections = self.sections()

        self.assertEqual(self.store(sections), 1)
        self.assertEqual(self.store(sections, make_account("beta")), 1)
        self.assertEqual(self.stored(), 8)


class ReadTests(TestCase):
    def setUp(self) -> None:
        self.instance = make_instance(make_account("acme"), "bot")
        self.session = make_session(self.instance)

    def request(self, text: str, session: Any = None) -> Any:
        digest = sha256(text.encode()).hexdigest()
        row = {"name": "system prompt", "source": "default", "bytes": 3, "tokens": 1}
        measured = {"name": "user message", "source": "messages", "bytes": 2, "tokens": 1}
        return make_llm_request(
            session or self.session,
            request_body={"sections": [row | {"digest": digest}, measured | {"messages": 1}]},
        )

    def store(self, account_id: Any, text: str) -> None:
        with tenant_context(account_id):
            digest = sha256(text.encode()).hexdigest()
            PromptSection.objects.create(account_id=account_id, digest=digest, text=text)

    def test_a_request_is_read_with_its_texts(self) -> None:
        self.store(self.instance.account_id, "abc")
        request = self.request("abc")

        with platform_context():
            prompt, message = prompts.read_sections(request)

        self.assertEqual((prompt.name, prompt.text, prompt.bytes), ("system prompt", "abc", 3))
        self.assertEqual((message.text, message.messages), (None, 1))

    def test_sections_known_only_at_the_end_of_the_turn_are_listed(self) -> None:
        request = self.request("abc")
        request.request_body |= {"history_messages": 3, "history_bytes": 30}
        request.response_body = {
            "tools": [{"name": "now", "arguments": "{}", "content": "noon", "is_error": False}]
        }

        parts = as_platform(prompts.read_sections, request)

        self.assertEqual(
            [(part.name, part.messages, part.bytes) for part in parts[1:]],
            [("history", 3, 30), ("user message", 1, 2), ("tool results", 0, 9)],
        )

    def test_many_requests_are_one_query(self) -> None:
        self.store(self.instance.account_id, "abc")
        requests = [self.request("abc") for _ in range(3)]

        with platform_context(), self.assertNumQueries(1):
            found = prompts.read_sections_of(requests)

        self.assertEqual({parts[0].text for parts in found.values()}, {"abc"})

    def test_a_request_without_sections_has_none(self) -> None:
        # It is from before there were sections, or its conversation was deleted.
        request = make_llm_request(self.session, request_body=None)

        self.assertEqual(as_platform(prompts.read_sections, request), [])

    def test_the_same_text_of_another_account_is_not_shown(self) -> None:
        other = make_instance(make_account("beta"), "bot")
        self.store(other.account_id, "abc")
        mine, theirs = self.request("abc"), self.request("abc", make_session(other))

        found = as_platform(prompts.read_sections_of, [mine, theirs])

        self.assertIsNone(found[mine.pk][0].text)
        self.assertEqual(found[theirs.pk][0].text, "abc")


class TurnTests(AgentFixtures, TransactionTestCase):
    """What real turns leave of their prompts."""

    def setUp(self) -> None:
        super().setUp()
        self.configure(TOOLED.replace("echo", "tool"), PROMPT)

    def sections_of_all(self) -> list[list[tuple[str, str | None]]]:
        _, requests = stored()
        found = as_platform(prompts.read_sections_of, requests)
        return [[(part.name, part.text) for part in found[each.pk]] for each in requests]

    def test_a_turns_row_lists_the_prompts_sections(self) -> None:
        first = async_to_sync(self.say)("hello")
        async_to_sync(self.say)("again", session_id=first["session_id"])

        one, two = self.sections_of_all()
        self.assertEqual(one[0], ("system prompt", "You help.\n\n"))
        names = [name for name, _ in two]
        self.assertEqual(
            names[-4:], ["tool: current_time", "history", "user message", "tool results"]
        )
        self.assertEqual([name for name, _ in one], [name for name in names if name != "history"])

    def test_two_turns_of_one_prompt_store_its_texts_once(self) -> None:
        async_to_sync(self.say)("hello")
        async_to_sync(self.say)("hello")

        self.assertEqual(count_of(PromptSection), 4)

    def test_after_the_first_turn_prompts_need_no_query(self) -> None:
        async_to_sync(self.say)("hello")
        with CaptureQueriesContext(connection) as queries:
            async_to_sync(self.say)("hello")

        self.assertEqual([q for q in queries if "prompt_sections" in q["sql"]], [])

    def test_no_words_of_the_conversation_are_stored_again(self) -> None:
        async_to_sync(self.say)("secret-word")

        _, [request] = stored()
        texts = [row.text for row in rows_of(PromptSection)]
        self.assertNotIn("secret-word", f"{request.request_body}{texts}")
