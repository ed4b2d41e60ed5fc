"""What is left of a run of tests that was killed."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import suppress

from django.conf import settings
from django.test import SimpleTestCase

START = """
import os, signal
from tests.support.servers.prepared import start

print(start("http.server", "0", environment=dict(os.environ), log=2).pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


class KilledTests(SimpleTestCase):
    def test_its_servers_end_with_it(self) -> None:
        run = [sys.executable, "-c", START]
        with subprocess.Popen(run, cwd=settings.BASE_DIR, stdout=subprocess.PIPE) as killed:
            assert killed.stdout is not None
            server = int(killed.stdout.readline())

        # It may be gone already.
        with suppress(ProcessLookupError):
            ended = os.pidfd_open(server)
            try:
                self.assertTrue(select.select([ended], [], [], 60)[0])
            finally:
                os.close(ended)
