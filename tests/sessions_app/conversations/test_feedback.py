"""Feedback to answers: who may give it, one rating a caller, the latest on the session."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from asgiref.sync import sync_to_async
from django.test import TestCase

from accounts.models import Scope
from sessions_app.conversations.feedback import decide
from sessions_app.models import Message, MessageFeedback, Role, Session
from tests.support.api_client import Answer, ApiClient
from tests.support.database.stored import as_platform, row_of, rows_of
from tests.support.factories import make_hold, make_instance, make_key, make_message, make_session
from tests.support.fixtures import AgentFixtures


class FeedbackTests(AgentFixtures, TestCase):
    async def answer_for(self, who: ApiClient) -> dict[str, Any]:
        answer = await who.post(self.path("chat"), {"message": "hello"})
        self.assertEqual(answer.status, 200, answer.body)
        found: dict[str, Any] = answer.json()
        return found

    async def rate(self, who: ApiClient, message_id: object, body: Any) -> Answer:
        return await who.post(self.path(f"messages/{message_id}/feedback"), body)

    async def feedback(self) -> list[tuple[int, str]]:
        rows = await sync_to_async(rows_of)(MessageFeedback, "created_at")
        return [(row.rating, row.comment) for row in rows]

    async def of_session(self, session_id: str) -> int | None:
        return (await sync_to_async(row_of)(Session, pk=session_id)).feedback

    async def test_a_rating_is_stored_with_its_comment_and_on_the_session(self) -> None:
        ada = await self.start()
        turn = await self.answer_for(ada)
        given = await self.rate(
            ada, turn["message_id"], {"rating": "bad", "comment": " too short "}
        )

        self.assertEqual(given.status, 200, given.body)
        self.assertEqual(
            given.json(),
            {"message_id": turn["message_id"], "rating": "bad", "comment": "too short"},
        )
        self.assertEqual(await self.feedback(), [(-1, "too short")])
        self.assertEqual(await self.of_session(turn["session_id"]), -1)

    async def test_another_rating_of_the_same_caller_replaces_it(self) -> None:
        ada = await self.start()
        turn = await self.answer_for(ada)
        await self.rate(ada, turn["message_id"], {"rating": "bad", "comment": "why"})
        await self.rate(ada, turn["message_id"], {"rating": "good"})

        self.assertEqual(await self.feedback(), [(1, "")])
        self.assertEqual(await self.of_session(turn["session_id"]), 1)

    async def test_a_hold_keeps_what_was_said_and_lets_more_be_said(self) -> None:
        ada = await self.start()
        turn, other = await self.answer_for(ada), await self.answer_for(ada)
        await self.rate(ada, turn["message_id"], {"rating": "bad", "comment": "why"})
        session = await sync_to_async(row_of)(Session, pk=turn["session_id"])
        await sync_to_async(make_hold)(session)

        for body in ({"rating": "good"}, {"rating": "bad", "comment": "x"}, {"rating": None}):
            refused = await self.rate(ada, turn["message_id"], body)
            self.assertEqual((refused.status, refused.json()["code"]), (409, "legal_hold"), body)
        again = await self.rate(ada, turn["message_id"], {"rating": "bad", "comment": "why"})
        more = await self.rate(ada, other["message_id"], {"rating": "good"})

        self.assertEqual((again.status, more.status), (200, 200))
        self.assertEqual(await self.feedback(), [(-1, "why"), (1, "")])

    async def test_another_opinion_is_open_again_and_the_same_one_is_not(self) -> None:
        ada = await self.start()
        turn = await self.answer_for(ada)
        for comment, status in (("why", "fixed"), ("why", "fixed"), ("still", "")):
            await self.rate(ada, turn["message_id"], {"rating": "bad", "comment": comment})
            self.assertEqual(await self.status_after("fixed" if comment == "why" else None), status)

    async def status_after(self, decision: str | None) -> str:
        """Decide on the one feedback, unless there is no decision, and return its status."""
        row = await sync_to_async(row_of)(MessageFeedback)
        if decision is not None and not row.status:
            decided = (row.account_id, row.pk, decision, "ann@example.com")
            await sync_to_async(as_platform)(decide, *decided)
        return (await sync_to_async(row_of)(MessageFeedback)).status

    async def test_each_caller_has_a_rating_and_the_session_the_latest(self) -> None:
        ada = await self.start()
        turn = await self.answer_for(ada)
        await self.rate(self.api, turn["message_id"], {"rating": "bad"})
        await self.rate(ada, turn["message_id"], {"rating": "good"})

        self.assertEqual(len(await self.feedback()), 2)
        self.assertEqual(await self.of_session(turn["session_id"]), 1)

        back = await self.rate(ada, turn["message_id"], {"rating": None})
        self.assertEqual((back.status, back.json()["rating"]), (200, None))
        self.assertEqual(await self.feedback(), [(-1, "")])
        self.assertEqual(await self.of_session(turn["session_id"]), -1)

    async def test_removing_feedback_that_does_not_exist_is_no_error(self) -> None:
        turn = await self.answer_for(self.api)
        back = await self.rate(self.api, turn["message_id"], {"rating": None})

        self.assertEqual(back.status, 200)
        self.assertIsNone(await self.of_session(turn["session_id"]))

    async def test_what_is_not_the_callers_is_the_same_404(self) -> None:
        ada, bob = await self.start(), await self.start(sub="bob")
        adas = await self.answer_for(ada)
        elsewhere = (await sync_to_async(self.answer_elsewhere)()).pk
        asked = {"session_id": adas["session_id"], "role": Role.HUMAN}
        human = (await sync_to_async(row_of)(Message, **asked)).pk
        answers = [
            await self.rate(bob, adas["message_id"], {"rating": "good"}),
            await self.rate(bob, elsewhere, {"rating": "good"}),
            await self.rate(self.api, elsewhere, {"rating": "good"}),
            await self.rate(ada, human, {"rating": "good"}),
            await self.rate(ada, uuid4(), {"rating": "good"}),
            await self.rate(ada, "no-such-thing", {"rating": "good"}),
        ]

        self.assertEqual({answer.status for answer in answers}, {404})
        bodies = [{k: v for k, v in a.json().items() if k != "instance"} for a in answers]
        self.assertTrue(all(each == bodies[0] for each in bodies))
        self.assertEqual(await self.feedback(), [])

    def answer_elsewhere(self) -> Message:
        session = make_session(make_instance(self.account, "other"))
        return make_message(session, role=Role.ASSISTANT)

    async def test_bad_bodies_are_refused_with_the_reason(self) -> None:
        turn = await self.answer_for(self.api)
        bad: list[Any] = [
            {},
            {"rating": "great"},
            {"rating": 1},
            {"rating": "good", "comment": "x" * 2_001},
            {"rating": "good", "comment": "a\x00b"},
            {"rating": None, "comment": "why"},
            {"rating": "good", "session_id": turn["session_id"]},
            {"rating": "good", "caller": "key:somebody"},
            [],
        ]
        for body in bad:
            with self.subTest(body=body):
                self.assertEqual((await self.rate(self.api, turn["message_id"], body)).status, 400)
        self.assertEqual(await self.feedback(), [])
        longest = {"rating": "good", "comment": "x" * 2_000}
        self.assertEqual((await self.rate(self.api, turn["message_id"], longest)).status, 200)

    async def test_a_key_without_the_scope_is_refused(self) -> None:
        turn = await self.answer_for(self.api)
        _, reader = await sync_to_async(make_key)(self.account, scopes=[Scope.HISTORY_READ])

        refused = await self.rate(ApiClient(reader), turn["message_id"], {"rating": "good"})

        self.assertEqual((refused.status, refused.json()["code"]), (403, "forbidden"))

    async def test_the_history_shows_each_caller_their_own_rating(self) -> None:
        ada = await self.start()
        turn = await self.answer_for(ada)
        await self.rate(ada, turn["message_id"], {"rating": "good"})

        own = (await ada.get(self.path("history"))).json()["messages"]
        keys = await self.api.get(self.path("history"), session_id=turn["session_id"])

        self.assertEqual([row["feedback"] for row in own], [None, "good"])
        self.assertEqual([row["feedback"] for row in keys.json()["messages"]], [None, None])

    async def test_a_deleted_conversation_leaves_no_feedback(self) -> None:
        ada = await self.start()
        turn = await self.answer_for(ada)
        await self.rate(ada, turn["message_id"], {"rating": "bad", "comment": "secret"})

        gone = await ada.call("DELETE", self.path(f"sessions/{turn['session_id']}"))

        self.assertEqual(gone.status, 204)
        self.assertEqual(await self.feedback(), [])

    async def test_feedback_counts_as_a_call(self) -> None:
        turn = await self.answer_for(self.api)
        given = await self.rate(self.api, turn["message_id"], {"rating": "good"})

        self.assertIn("ratelimit", given.headers)
