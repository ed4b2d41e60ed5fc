"""Checks every page of the admin with axe: at each width, light and dark, folded parts open.

python -m tests.e2e.every_page [part of an address …]

The suite looks at each kind of page at one width (test_pages.py); this takes ten minutes.
"""

from __future__ import annotations

import sys

from tests.e2e.browser import FULL, NARROW, PHONE, Watched, browser
from tests.e2e.served_demo import with_demo

TURNS = 400
SIZES = (FULL, NARROW, PHONE)


def main(parts: list[str]) -> None:
    wrong: list[str] = []
    with_demo(lambda url: wrong.extend(look(url, parts)), turns=TURNS)
    sys.exit(f"{len(wrong)} faults" if wrong else 0)


def look(url: str, parts: list[str]) -> list[str]:
    """Return what is wrong, and write it as it is found."""
    # Only now: models can not be imported before Django is set up.
    from tests.e2e.fixtures import EMAIL, PASSWORD, addresses  # noqa: PLC0415

    pages = [each for each in addresses() if not parts or any(part in each for part in parts)]
    with browser() as running:
        tab = Watched(running, url)
        tab.log_in(EMAIL, PASSWORD)
        for address in pages:
            told = len(tab.wrong)
            tab.page.goto(url + address)
            tab.has_checked_frame = False
            tab.look(*SIZES)
            for size in SIZES[:-1]:
                tab.page.set_viewport_size(size)
                # The frame is another one at each width.
                tab.has_checked_frame = False
                tab.check()
            sys.stderr.write(f"{address}: {len(tab.wrong) - told}\n")
            sys.stderr.writelines(f"    {line}\n" for line in tab.wrong[told:])
    return tab.wrong


if __name__ == "__main__":
    main(sys.argv[1:])
