"""A reload with invalid settings keeps the running workers."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from django.test import TransactionTestCase

from tests.support.servers.served import eventually, served


class ReloadTests(TransactionTestCase):
    def test_wrong_settings_end_no_worker_and_right_ones_start_a_new_one(self) -> None:
        file = Path(self.enterContext(tempfile.TemporaryDirectory())) / "settings.env"
        file.write_text("")

        async def play() -> None:
            async with asyncio.timeout(240), served(cut_after=600, ENV_FILE=str(file)) as server:
                before = server.workers()
                file.write_text("MAX_BODY_BYTES=-1\n")
                server.reload()
                await eventually(lambda: "Nothing was reloaded" in server.log.read_text())
                self.assertIn("salient: MAX_BODY_BYTES=-1", server.log.read_text())
                self.assertEqual(server.workers(), before)
                await server.until(answering=True)

                file.write_text("MAX_BODY_BYTES=2048\n")
                server.reload()
                # Long before cut_after is over: gunicorn has not waited for the workers of before.
                await eventually(lambda: bool(server.workers()) and not server.workers() & before)
                await server.until(answering=True)

        asyncio.run(play())
