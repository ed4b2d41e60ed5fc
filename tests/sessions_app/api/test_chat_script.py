"""The chat page's script in Node, against a served application: connections that are lost.

It runs where Node is installed, and in CI always: there, a machine without it fails.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import TransactionTestCase

from sessions_app.models import CompletionStatus
from tests.support.fixtures import AgentFixtures, stored
from tests.support.servers.node_clients import install, run
from tests.support.servers.served import served

SCRIPT = Path(settings.BASE_DIR) / "static/chat.js"

if shutil.which("node") or os.environ.get("CI"):

    class ChatScriptTests(AgentFixtures, TransactionTestCase):
        async def test_an_answer_goes_on_and_a_stopped_one_ends(self) -> None:
            whole = (await self.say("Hello"))["response"]
            await install()
            async with asyncio.timeout(120), served(cut_after=5) as server:
                await run(
                    "node",
                    "chat_page.mjs",
                    API_KEY=self.secret,
                    AGENT_URL=f"{server.url}{self.path('')}".removesuffix("/"),
                    CHAT_SCRIPT=str(SCRIPT),
                    WHOLE=whole,
                )

            _, requests = await sync_to_async(stored)()
            *answered, stopped = [each.completion_status for each in requests]
            self.assertEqual(set(answered), {CompletionStatus.COMPLETE})
            # Its few words may have been written before it was stopped.
            self.assertIn(stopped, {CompletionStatus.CANCELLED, CompletionStatus.COMPLETE})
