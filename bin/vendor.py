"""Bring the front-end libraries that pages use from npm into static/vendor, as they are released.

It needs npm, and it is run by hand: what it writes is committed. Comments that name source maps are
removed, for the maps are not brought along.
"""

import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).resolve().parent.parent / "static/vendor"
# Each library with its version, its licence and the files that are served.
LIBRARIES = {
    "swagger-ui-dist": (
        "5.35.0",
        "Apache-2.0",
        ["swagger-ui-bundle.js", "swagger-ui.css", "LICENSE", "NOTICE"],
    ),
}
_SOURCE_MAP = re.compile(rb"\n?(//|/\*)# sourceMappingURL=\S+(\s*\*/)?")


def bring(name: str, version: str, licence: str, files: list[str]) -> None:
    target = VENDOR / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        packing = ["npm", "pack", f"{name}@{version}", "--silent", "--pack-destination", folder]
        subprocess.run(packing, check=True)
        [archive] = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        for file in files:
            content = (Path(folder) / "package" / file).read_bytes()
            (target / file).write_bytes(_SOURCE_MAP.sub(b"", content))
    about = f"{name} {version}, {licence}, brought from npm by bin/vendor.py\n"
    (target / "README").write_text(about, encoding="utf-8")


if __name__ == "__main__":
    for library, what in LIBRARIES.items():
        bring(library, *what)
