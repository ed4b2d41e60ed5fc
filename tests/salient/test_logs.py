"""What the log says of requests that are refused."""

from __future__ import annotations

import logging

from django.core.exceptions import DisallowedHost
from django.test import SimpleTestCase

from salient.logs import OneLineRefusals


class RefusalTests(SimpleTestCase):
    def test_a_request_that_django_finds_suspicious_is_one_line(self) -> None:
        error = DisallowedHost("Invalid HTTP_HOST header")
        facts = (type(error), error, None)
        for name, is_short in (("django.security.DisallowedHost", True), ("django.request", False)):
            record = logging.LogRecord(name, logging.ERROR, "", 0, "refused", (), facts)
            line = OneLineRefusals().filter(record)
            self.assertEqual(line.exc_info is None, is_short)
            self.assertEqual(line.levelname, "WARNING" if is_short else "ERROR")
