"""The log of refused requests: no tokens, and one line each."""

from __future__ import annotations

import logging

from django.core.exceptions import DisallowedHost, PermissionDenied
from django.test import SimpleTestCase

from salient.security.logs import OneLineRefusals


class RefusalTests(SimpleTestCase):
    def test_a_request_that_django_finds_suspicious_is_one_line(self) -> None:
        error = DisallowedHost("Invalid HTTP_HOST header")
        facts = (type(error), error, None)
        for name, is_short in (("django.security.DisallowedHost", True), ("django.request", False)):
            record = logging.LogRecord(name, logging.ERROR, "", 0, "refused", (), facts)
            line = OneLineRefusals().filter(record)
            self.assertEqual(line.exc_info is None, is_short)
            self.assertEqual(line.levelname, "WARNING" if is_short else "ERROR")

    def test_a_page_that_is_forbidden_is_one_line(self) -> None:
        error = PermissionDenied()
        facts = (type(error), error, None)
        record = logging.LogRecord("django.request", logging.WARNING, "", 0, "no", (), facts)
        self.assertIsNone(OneLineRefusals().filter(record).exc_info)
        # Others may want it.
        self.assertEqual(record.exc_info, facts)
