"""OpenAI's client for Node and Vercel's AI SDK, unmodified, against a served application.

They run where Node is installed, and in CI always: there, a machine without it fails.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from django.conf import settings
from django.test import TransactionTestCase

from tests.support.factories import make_instance, write_config
from tests.support.servers.served import served
from tests.support.worlds import World

CLIENTS = Path(settings.BASE_DIR) / "tests/clients"
INSTALLED = Path(settings.BASE_DIR) / "var/node_clients"
FILES = ("package.json", "package-lock.json", "run.mjs")


async def run(*command: str, **environment: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=INSTALLED,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def install() -> None:
    """Install the locked versions once; a change of the lock installs again."""
    lock = INSTALLED / "package-lock.json"
    known = lock.read_bytes() if lock.exists() else b""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(CLIENTS / name, INSTALLED / name)
    if known != lock.read_bytes() or not (INSTALLED / "node_modules/.package-lock.json").exists():
        await run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


if shutil.which("node") or os.environ.get("CI"):

    class NodeTests(World, TransactionTestCase):
        config = "model: scripted:echo\ncallers: {instructions: true}\n"

        def setUp(self) -> None:
            self.make_world()
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
