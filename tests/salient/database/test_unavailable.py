from __future__ import annotations

from unittest import mock

from django.db import InterfaceError, OperationalError
from django.test import TestCase

from sessions_app.api import chat_page


class DatabaseUnavailableTests(TestCase):
    def test_a_page_says_when_to_try_again_while_the_database_is_unavailable(self) -> None:
        for error in (OperationalError("away"), InterfaceError("closed")):
            with mock.patch.object(chat_page, "may_see", side_effect=error):
                answer = self.client.get("/accounts/acme/agents/bot/", secure=True)

            self.assertEqual((answer.status_code, answer.headers["Retry-After"]), (503, "5"))
            self.assertIn("Nothing is lost", answer.content.decode())

    def test_any_other_error_stays_one(self) -> None:
        with (
            mock.patch.object(chat_page, "may_see", side_effect=ZeroDivisionError),
            self.assertRaises(ZeroDivisionError),
        ):
            self.client.get("/accounts/acme/agents/bot/", secure=True)

    def test_a_name_with_a_nul_is_no_page(self) -> None:
        with self.settings(DEMO=True):
            answer = self.client.get("/accounts/x%00/agents/y/", secure=True)
        self.assertEqual(answer.status_code, 404)
