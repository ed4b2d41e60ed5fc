"""The filters of a list of sessions, its search and its cursor."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.test import TestCase

from sessions_app.conversations import session_list
from tests.sessions_app.session_fixtures import ConversationFixtures
from tests.support.api_client import ApiClient
from tests.support.database.stored import change_row
from tests.support.factories import make_account, make_instance, make_message, make_session


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


class FilterTests(ConversationFixtures, TestCase):
    def made(self, day: int, active: int, **fields: Any) -> str:
        session = make_session(self.instance, **fields)
        change_row(session, created_at=at(day), last_activity_at=at(active))
        return str(session.pk)

    async def test_by_the_days_of_creation_and_activity(self) -> None:
        early = await sync_to_async(self.made)(1, 9)
        middle = await sync_to_async(self.made)(3, 4)
        late = await sync_to_async(self.made)(5, 5)

        for query, wanted in (
            ({}, [early, late, middle]),
            ({"created_from": "2026-03-03"}, [late, middle]),
            ({"created_to": "2026-03-03"}, [early, middle]),
            ({"created_from": "2026-03-02", "created_to": "2026-03-03"}, [middle]),
            ({"active_from": "2026-03-05"}, [early, late]),
            ({"active_to": "2026-03-05"}, [late, middle]),
            ({"active_from": "2026-03-04", "active_to": "2026-03-04"}, [middle]),
            ({"created_to": "2026-03-01", "active_from": "2026-03-09"}, [early]),
            ({"created_from": "9999-12-31", "created_to": "9999-12-31"}, []),
            ({"active_from": "0001-01-01", "active_to": "0001-01-01"}, []),
        ):
            self.assertEqual(await self.listed(self.api, **query), wanted, query)

    async def test_by_status_and_end_user(self) -> None:
        mine = await sync_to_async(self.made)(1, 1, end_user="cleo")
        shut = await sync_to_async(self.made)(1, 2, end_user="cleo", closed_at=at(3))
        other = await sync_to_async(self.made)(1, 3, end_user="dora", closed_at=at(3))

        for query, wanted in (
            ({"status": "open"}, [mine]),
            ({"status": "closed"}, [other, shut]),
            ({"end_user": "cleo"}, [shut, mine]),
            ({"end_user": "cleo", "status": "closed"}, [shut]),
            ({"end_user": "nobody"}, []),
        ):
            self.assertEqual(await self.listed(self.api, **query), wanted, query)
        cleo = await self.start(sub="cleo")
        self.assertEqual(await self.listed(cleo, status="closed"), [shut])
        self.assertEqual(await self.listed(cleo, end_user="dora"), [])

    async def test_a_page_that_looks_at_few_says_where_to_go_on(self) -> None:
        opened = [await sync_to_async(self.made)(1, 1), await sync_to_async(self.made)(1, 2)]
        for day in range(3, 13):
            await sync_to_async(self.made)(day, day, closed_at=at(20))

        seen, pages = [], []
        query: dict[str, Any] = {"status": "open", "limit": 1}
        with mock.patch.object(session_list, "MOST_LOOKED_AT", 4):
            while query:
                page = (await self.api.get(self.path("sessions"), **query)).json()
                seen += [row["id"] for row in page["data"]]
                pages.append(len(page["data"]))
                self.assertEqual(page["has_more"], page["next_cursor"] is not None)
                query = query | {"cursor": page["next_cursor"]} if page["has_more"] else {}
        self.assertEqual(seen, opened[::-1])
        self.assertEqual(pages[:2], [0, 0])
        self.assertLess(len(pages), 8)

    async def test_cursor_and_its_older_name_are_one(self) -> None:
        sessions = [await sync_to_async(self.made)(day, day) for day in (1, 2, 3)]
        page = (await self.api.get(self.path("sessions"), limit=2)).json()

        self.assertEqual(page["next_cursor"], page["before"])
        self.assertTrue(page["has_more"])
        for name in ("cursor", "before"):
            query = {name: page["next_cursor"]}
            self.assertEqual(await self.listed(self.api, **query), [sessions[0]])
        both = {"cursor": page["next_cursor"], "before": page["next_cursor"]}
        answer = await self.api.get(self.path("sessions"), **both)
        self.assertEqual((answer.status, answer.json()["errors"][0]["field"]), (400, "before"))


class SearchTests(ConversationFixtures, TestCase):
    async def asked(self, who: ApiClient, message: str) -> str:
        answer = await who.post(self.path("chat"), {"message": message})
        return str(answer.json()["session_id"])

    async def test_finds_words_in_what_the_caller_may_read(self) -> None:
        ada, cleo = await self.start(), await self.start(sub="cleo")
        adas = await self.asked(ada, "a rabbit in the garden")
        cleos = await self.asked(cleo, "two rabbit holes")
        await self.asked(cleo, "a badger")

        self.assertEqual(await self.listed(self.api, q="rabbit"), [cleos, adas])
        self.assertEqual(await self.listed(self.api, q="rabbit holes"), [cleos])
        self.assertEqual(await self.listed(self.api, q='"rabbit in"'), [adas])
        self.assertEqual(await self.listed(cleo, q="rabbit"), [cleos])
        self.assertEqual(await self.listed(ada, q="rabbit"), [adas])
        self.assertEqual(await self.listed(ada, q="badger"), [])
        self.assertEqual(await self.listed(self.api, q="rabbit", end_user="cleo"), [cleos])
        self.assertEqual(await self.listed(self.api, q="rabbit", status="closed"), [])

    async def test_other_agents_and_accounts_stay_out(self) -> None:
        def others() -> None:
            for instance in (
                make_instance(self.account, "second"),
                make_instance(make_account("beta"), "bot"),
            ):
                make_message(make_session(instance, end_user="cleo"), content="a rabbit")

        await sync_to_async(others)()
        mine = await self.asked(self.api, "a rabbit")
        self.assertEqual(await self.listed(self.api, q="rabbit"), [mine])
        self.assertEqual(await self.listed(await self.start(sub="cleo"), q="rabbit"), [])

    async def test_a_deleted_session_is_not_found(self) -> None:
        mine = await self.asked(self.api, "a rabbit")
        await self.delete(self.api, mine)
        self.assertEqual(await self.listed(self.api, q="rabbit"), [])

    async def test_pages_of_what_was_found(self) -> None:
        sessions = [await self.asked(self.api, "a rabbit") for _ in range(3)]
        page = (await self.api.get(self.path("sessions"), q="rabbit", limit=2)).json()
        rest = await self.listed(self.api, q="rabbit", cursor=page["next_cursor"])
        self.assertEqual([row["id"] for row in page["data"]] + rest, sessions[::-1])
