"""OpenAI's client for Node and Vercel's AI SDK, unmodified, against a served application.

They run where Node is installed, and in CI always: there, a machine without it fails.
"""

from __future__ import annotations

import asyncio
import os
import shutil

from django.conf import settings
from django.test import TransactionTestCase

from tests.support.factories import make_instance, write_config
from tests.support.fixtures import AgentFixtures
from tests.support.servers.node_clients import install, run
from tests.support.servers.served import served

if shutil.which("node") or os.environ.get("CI"):

    class NodeTests(AgentFixtures, TransactionTestCase):
        config = "model: scripted:echo\ncallers: {instructions: true}\n"

        def setUp(self) -> None:
            super().setUp()
            write_config(settings.AGENT_CONFIG_DIR, "acme", "cut", "model: scripted:cut\n")
            make_instance(self.account, "cut")

        async def test_every_client_gets_what_it_expects(self) -> None:
            await install()
            async with asyncio.timeout(300), served(cut_after=5) as server:
                await run(
                    "node",
                    "run.mjs",
                    API_KEY=self.secret,
                    AGENT_URL=f"{server.url}{self.path('v1')}",
                    CUT_AGENT_URL=f"{server.url}{self.path('v1', instance='cut')}",
                )
