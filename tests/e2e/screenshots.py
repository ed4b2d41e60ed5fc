"""Takes the pictures in docs/images: the full demo in a database of its own, page by page.

python -m tests.e2e.screenshots [name …]
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

from tests.e2e.browser import PHONE, WIDE, Watched, browser
from tests.e2e.served_demo import with_demo

IMAGES = Path(__file__).resolve().parent.parent.parent / "docs" / "images"
COLOURS = 160
TALLEST = 1_700
SIZE = ("clientWidth", "scrollHeight")
# Also taken at phone width, and in the dark theme.
ON_PHONES = {"overview", "account", "session"}
IN_THE_DARK = {"overview", "session"}
QUESTION = "Can I pay the invoice in two parts?"


def main(names: list[str]) -> None:
    with_demo(lambda url: take_all(url, names))


def take_all(url: str, names: list[str]) -> None:
    # Only now: models can not be imported before Django is set up.
    from tests.e2e.album import album  # noqa: PLC0415
    from tests.e2e.fixtures import EMAIL, PASSWORD  # noqa: PLC0415

    pages = album()
    with browser() as running:
        tab = Watched(running, url)
        tab.log_in(EMAIL, PASSWORD)
        for name in names or pages:
            tab.page.goto(url + pages[name])
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
        # From outside of the key's networks.
        tab.page.fill("#content [name=address]", "203.0.113.7")
        tab.page.click("#content [type=submit]")
        tab.page.wait_for_selector("#content table")


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
