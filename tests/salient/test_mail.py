"""Links in e-mails can be copied whole from the console."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from unittest import mock

from django.core import mail
from django.test import SimpleTestCase, override_settings

from salient.environment.values import mail_config

LINK = (
    f"https://agents.example.com/invitations/{'a1-B2_' * 12}?next=/accounts/acme/&token={'x=' * 40}"
)
TEXT = f"Grüße, 日本 🦜\n\n  {LINK}\n\nIt works for 7 days = a week.\n"
SUBJECT = f"Join {'A very long name of an account ' * 4}on Salient"


class LinkTests(SimpleTestCase):
    def written(self, url: str) -> str:
        out = io.StringIO()
        with override_settings(MAILERS=mail_config(url)), mock.patch("sys.stdout", out):
            mail.send_mail(SUBJECT, TEXT, "salient@example.com", ["ann@example.com"])
            mail.send_mail("ASCII", LINK, "salient@example.com", ["ann@example.com"])
        return out.getvalue()

    def test_a_link_on_the_console_is_whole_and_on_one_line(self) -> None:
        lines = self.written("consolemail://").splitlines()

        self.assertIn(f"  {LINK}", lines)
        self.assertIn(LINK, lines)
        self.assertIn("Grüße, 日本 🦜", lines)
        self.assertIn("It works for 7 days = a week.", lines)
        self.assertIn(f"Subject: {SUBJECT}", lines)

    def test_a_link_in_a_file_is_too(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.written(f"filemail://{folder}")
            text = "".join(path.read_text() for path in Path(folder).iterdir())

        self.assertIn(f"  {LINK}\n", text)
