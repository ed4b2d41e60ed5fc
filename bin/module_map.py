"""Write the map of modules into docs/architecture.md, from the first sentence of each docstring.

`--check` writes nothing and fails when the file is not up to date.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/architecture.md"
APPS = ("salient", "accounts", "agents", "sessions_app")
BEGIN = "<!-- module map: written by bin/module_map.py from the docstrings -->\n"
END = "<!-- end of the module map -->\n"


def summary(path):
    """Return the first sentence of the module's docstring, on one line."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    text = " ".join(docstring.split("\n\n")[0].split())
    sentence = re.match(r".+?\.(?= |$)", text)
    return (sentence.group() if sentence else text).replace("|", "\\|")


def modules(package):
    """Yield the name and summary of the package, of its modules and of the packages in it."""
    init = package / "__init__.py"
    if package.parent != ROOT and summary(init):
        yield f"**`{package.relative_to(ROOT)}/`**", f"**{summary(init)}**"
    for path in sorted(package.glob("*.py")):
        if path != init:
            yield f"`{path.relative_to(ROOT)}`", summary(path)
    for inner in sorted(package.glob("*/__init__.py")):
        if inner.parent.name != "migrations":
            yield from modules(inner.parent)


def table(app):
    rows = list(modules(ROOT / app))
    if silent := [name for name, text in rows if not text]:
        sys.exit("module map: without a docstring: " + ", ".join(silent))
    lines = ["| {} | {} |".format(*row) for row in rows]
    return "\n".join([f"### {app}", "", "| module | what it is for |", "|---|---|", *lines, "", ""])


def main():
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        sys.exit(f"module map: {PAGE.relative_to(ROOT)} has lost its two markers")
    written = before + BEGIN + "\n" + "".join(map(table, APPS)) + END + after
    if "--check" not in sys.argv:
        PAGE.write_text(written, encoding="utf-8")
    elif written != page:
        sys.exit("module map: docs/architecture.md is out of date: run `make map`")


if __name__ == "__main__":
    main()
