"""Clients in Node, installed once from the locked versions and run against a served application."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from django.conf import settings

CLIENTS = Path(settings.BASE_DIR) / "tests/clients"
INSTALLED = Path(settings.BASE_DIR) / "var/node_clients"
FILES = ("package.json", "package-lock.json", "run.mjs", "interfaces.mjs")


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
