"""Write the tables of routes and errors into docs/api.md, from the views and the problems.

`--check` writes nothing and fails when the page is not up to date.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "salient.settings")

import django  # noqa: E402

django.setup()

from salient.api.openapi.components import problems_of  # noqa: E402
from salient.api.openapi.routes import api_operations  # noqa: E402
from salient.api.problems import MethodNotAllowed, Problem, UnknownRoute  # noqa: E402
from sessions_app.turns.problems import ProviderFailed  # noqa: E402

PAGE = ROOT / "docs/api.md"
END = "<!-- end of the table -->\n"


def begin(name: str) -> str:
    return f"<!-- {name}: written by bin/api_tables.py -->\n"


def routes() -> list[str]:
    lines = ["| method | path | scope | rate | does |", "|---|---|---|---|---|"]
    for each in api_operations():
        scope, rate = (
            f"`{name}`" if name else "none" for name in (each.operation.scope, each.operation.rate)
        )
        lines.append(f"| `{each.method}` | `{each.path}` | {scope} | {rate} | {each.summary} |")
    return lines


def errors(problems: Iterable[type[Problem]]) -> list[str]:
    # A problem and a special case of it may have one code: the more general one says when.
    general_last = sorted(problems, key=lambda each: (-len(each.__mro__), each.__name__))
    found = {
        (int(each.status), code): meaning
        for each in general_last
        for code, meaning in each.meanings().items()
    }
    lines = ["| code | status | when |", "|---|---|---|"]
    for (status, code), meaning in sorted(found.items()):
        when = meaning[0].lower() + meaning[1:].removesuffix(".")
        lines.append(f"| `{code}` | {status} | {when} |")
    return lines


def tables() -> dict[str, list[str]]:
    everything = {problem for each in api_operations() for problem in problems_of(each.operation)}
    everything |= {MethodNotAllowed, UnknownRoute}
    of_models = {each for each in everything if issubclass(each, ProviderFailed)}
    return {
        "routes": routes(),
        "errors": errors(everything - of_models),
        "errors of models": errors(of_models),
    }


def main() -> None:
    page = written = PAGE.read_text(encoding="utf-8")
    for name, lines in tables().items():
        before, _, rest = written.partition(begin(name))
        _, _, after = rest.partition(END)
        if not after:
            sys.exit(f"API tables: {PAGE.relative_to(ROOT)} has lost the markers of “{name}”")
        written = before + begin(name) + "\n" + "\n".join(lines) + "\n\n" + END + after
    if "--check" not in sys.argv:
        PAGE.write_text(written, encoding="utf-8")
    elif written != page:
        sys.exit("API tables: docs/api.md is out of date: run `make map`")


if __name__ == "__main__":
    main()
