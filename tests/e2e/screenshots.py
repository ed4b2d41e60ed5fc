"""Takes the pictures in docs/images: the full demo in a database of its own, page by page.

python -m tests.e2e.screenshots [name …]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import django

from tests.e2e.browser import PHONE, WIDE, Watched, browser

IMAGES = Path(__file__).resolve().parent.parent.parent / "docs" / "images"
COLOURS = 160
TALLEST = 1_700
SIZE = ("clientWidth", "scrollHeight")
# Also taken at phone width, and in the dark theme.
ON_PHONES = {"overview", "account", "session"}
IN_THE_DARK = {"overview", "session"}
QUESTION = "Can I pay the invoice in two parts?"
ANSWER = "Yes. The first half is due on **1 December**, the second a month later."


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"DJANGO_SETTINGS_MODULE": "salient.settings", "DEBUG": "true"}
        os.environ |= {"DEMO": "true", "AGENT_CONFIG_DIR": folder}
        os.environ.setdefault("SECRET_KEY", "of-the-screenshots-and-of-nothing-else")
        django.setup()
        _pictures(names)


def _pictures(names: list[str]) -> None:
    """Fill a database, serve it, and take the pictures."""
    # Only now: models can not be imported before Django is set up.
    from django.core.management import call_command  # noqa: PLC0415

    from sessions_app.demo import TURNS  # noqa: PLC0415
    from tests.e2e.album import album  # noqa: PLC0415
    from tests.e2e.world import furnish  # noqa: PLC0415
    from tests.support.database.scratch_database import scratch_database  # noqa: PLC0415
    from tests.support.servers.mock_openai import MockOpenAI, Reply, usage  # noqa: PLC0415
    from tests.support.servers.served import served  # noqa: PLC0415

    async def serve(pages: dict[str, str]) -> None:
        reply = Reply(ANSWER, usage=usage(412, 38), delay=0.4, chunk_delay=0.03)
        async with MockOpenAI(provider="openai") as model, served(cut_after=1) as server:
            model.replies.append(reply)
            await asyncio.to_thread(take_all, server.url, pages)

    with scratch_database():
        call_command("migrate", verbosity=0)
        furnish(turns=TURNS)
        pages = album()
        asyncio.run(serve({name: pages[name] for name in names or pages}))


def take_all(url: str, pages: dict[str, str]) -> None:
    from tests.e2e.world import EMAIL, PASSWORD  # noqa: PLC0415

    with browser() as running:
        tab = Watched(running, url)
        tab.log_in(EMAIL, PASSWORD)
        for name, address in pages.items():
            tab.page.goto(url + address)
            prepare(tab, name)
            take(tab, name)
            if name in IN_THE_DARK:
                tab.page.emulate_media(color_scheme="dark")
                take(tab, f"{name}-dark")
                tab.page.emulate_media(color_scheme="light")
            if name in ON_PHONES:
                tab.page.set_viewport_size(PHONE)
                take(tab, f"{name}-phone")
                tab.page.set_viewport_size(WIDE)
    sys.stderr.writelines(f"{line}\n" for line in tab.wrong)


def prepare(tab: Watched, name: str) -> None:
    """Bring the page into the state to be pictured."""
    if name == "key-made":
        tab.page.fill("#id_name", "Web shop")
        tab.page.check("[name=way][value=show]")
        tab.page.click("[name=_save]")
        tab.page.wait_for_selector("#key-text")
    elif name == "playground":
        tab.page.fill("#playground-input", QUESTION)
        tab.page.keyboard.press("Enter")
        tab.page.wait_for_selector("[data-part=send]:not([hidden])")
        tab.page.click("[data-part=run] summary")
    elif name == "connection":
        tab.page.click("input[value^=Test]")
        tab.page.wait_for_selector(".messagelist")
    elif name == "why-refused":
        for box in tab.page.query_selector_all("#content select"):
            box.select_option(index=1)
        tab.page.click("#content [type=submit]")


def take(tab: Watched, name: str) -> None:
    from PIL import Image  # noqa: PLC0415

    width, height = (int(tab.page.evaluate(f"document.documentElement.{each}")) for each in SIZE)
    shot = Image.open(BytesIO(tab.page.screenshot(full_page=True)))
    picture = shot.crop((0, 0, width, min(height, TALLEST)))
    path = IMAGES / f"admin-{name}.png"
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    sys.stderr.write(f"{path.name}: {path.stat().st_size // 1000} kB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
