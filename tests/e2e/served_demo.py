"""Serves the full demo from a database of its own, to commands that look at it in a browser."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable

import django

ANSWER = "Yes. The first half is due on **1 December**, the second a month later."


def with_demo(look: Callable[[str], None], *, turns: int | None = None) -> None:
    """Fill a database, serve it, and call `look` with the server's address."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"DJANGO_SETTINGS_MODULE": "salient.settings", "DEBUG": "true"}
        os.environ |= {"DEMO": "true", "AGENT_CONFIG_DIR": folder}
        os.environ.setdefault("SECRET_KEY", "of-what-is-looked-at-and-of-nothing-else")
        django.setup()
        _serve(look, turns)


def _serve(look: Callable[[str], None], turns: int | None) -> None:
    # Only now: models can not be imported before Django is set up.
    from django.core.management import call_command  # noqa: PLC0415

    from sessions_app.demo import TURNS  # noqa: PLC0415
    from tests.e2e.fixtures import furnish  # noqa: PLC0415
    from tests.support.database.scratch_database import scratch_database  # noqa: PLC0415
    from tests.support.servers.mock_openai import MockOpenAI, Reply, usage  # noqa: PLC0415
    from tests.support.servers.served import served  # noqa: PLC0415

    async def serve() -> None:
        reply = Reply(ANSWER, usage=usage(412, 38), delay=0.4, chunk_delay=0.03)
        async with MockOpenAI(provider="openai") as model, served(cut_after=1) as server:
            model.replies.append(reply)
            await asyncio.to_thread(look, server.url)

    with scratch_database():
        call_command("migrate", verbosity=0)
        furnish(turns=turns or TURNS)
        asyncio.run(serve())
