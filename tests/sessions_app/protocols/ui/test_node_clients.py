"""AG-UI's client and the AI SDK's chat, unmodified, against a served application.

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
        def setUp(self) -> None:
            super().setUp()
            for name, config in (
                ("cut", "model: scripted:cut\n"),
                ("slow", "model: scripted:echo?delay_ms=50\n"),
                ("tools", "model: scripted:tool\ntools: [current_time]\n"),
            ):
                write_config(settings.AGENT_CONFIG_DIR, "acme", name, config)
                make_instance(self.account, name)

        async def test_every_client_gets_what_it_expects(self) -> None:
            await install()
            async with asyncio.timeout(300), served(cut_after=5) as server:
                await run(
                    "node",
                    "interfaces.mjs",
                    API_KEY=self.secret,
                    AGENT_URL=f"{server.url}/accounts/acme/agents/bot",
                    CUT_AGENT_URL=f"{server.url}/accounts/acme/agents/cut",
                    SLOW_AGENT_URL=f"{server.url}/accounts/acme/agents/slow",
                    TOOLS_AGENT_URL=f"{server.url}/accounts/acme/agents/tools",
                )
