"""The file of an account: a zip with one member a table, and the manifest as the last one.

A member is written and read piece by piece, whatever its size.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from django.db.migrations.loader import MigrationLoader

KIND: Final = "salient account"
# What a reader of this code understands.
FORMAT: Final = 1
MANIFEST, README = "manifest.json", "README.txt"
DATA, CONFIG = "data/", "config/"
CHUNK: Final = 1 << 20
LONGEST_MANIFEST: Final = 64 << 20
_OWN_APPS = ("accounts", "agents", "sessions_app")
_DAMAGED = (BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError)

type Manifest = dict[str, Any]


class ArchiveProblem(Exception):
    """The file is no archive, not whole, or of another version; the message is one line."""


class Writer:
    """An archive that is being written; it holds the names and sums of its members only."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = ZipFile(file, "w", ZIP_DEFLATED)
        self.members: dict[str, dict[str, Any]] = {}

    def add_lines(self, name: str, lines: Iterable[str]) -> int:
        """Write a JSONL member; return the number of its lines."""
        facts = self._add(name, (f"{line}\n".encode() for line in lines))
        rows: int = facts.pop("pieces")
        facts["rows"] = rows
        return rows

    def add(self, name: str, data: bytes) -> None:
        self._add(name, [data]).pop("pieces")

    def close(self, manifest: Manifest) -> Manifest:
        whole = {**manifest, "members": self.members}
        text = json.dumps(whole, indent=1, ensure_ascii=False)
        self._zip.writestr(_info(MANIFEST), text.encode())
        self._zip.close()
        return whole

    def _add(self, name: str, pieces: Iterable[bytes]) -> dict[str, Any]:
        digest, size, count = hashlib.sha256(), 0, 0
        with self._zip.open(_info(name), "w", force_zip64=True) as member:
            for piece in pieces:
                member.write(piece)
                digest.update(piece)
                size, count = size + len(piece), count + 1
        facts = {"bytes": size, "sha256": digest.hexdigest(), "pieces": count}
        self.members[name] = facts
        return facts


def _info(name: str) -> ZipInfo:
    info = ZipInfo(name)
    info.compress_type, info.external_attr = ZIP_DEFLATED, 0o600 << 16
    return info


class Reader:
    """An archive whose members are all as its manifest says."""

    def __init__(self, opened: ZipFile, manifest: Manifest) -> None:
        self._zip, self.manifest = opened, manifest

    def lines(self, name: str) -> Iterator[str]:
        with self._zip.open(name) as member:
            for line in member:
                yield line.decode().rstrip("\n")

    def pieces(self, name: str) -> Iterator[bytes]:
        with self._zip.open(name) as member:
            while piece := member.read(CHUNK):
                yield piece

    def names(self, prefix: str) -> list[str]:
        return [name for name in self.manifest["members"] if name.startswith(prefix)]

    def rows(self, table: str) -> int:
        return int(self.manifest["members"][f"{DATA}{table}.jsonl"]["rows"])

    def damaged(self) -> list[str]:
        """Return the members that are not as the manifest says."""
        return [
            name
            for name, facts in self.manifest["members"].items()
            if not self._is_whole(name, facts)
        ]

    def _is_whole(self, name: str, facts: dict[str, Any]) -> bool:
        digest, size = hashlib.sha256(), 0
        try:
            for piece in self.pieces(name):
                digest.update(piece)
                size += len(piece)
                if size > facts["bytes"]:
                    return False
        except _DAMAGED:
            return False
        return bool(size == facts["bytes"] and digest.hexdigest() == facts["sha256"])


@contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """Read an archive; raises ArchiveProblem unless it is whole and of a format known here."""
    try:
        zipped = ZipFile(path)
    except OSError as error:
        raise ArchiveProblem(f"{path} cannot be read: {error.strerror}.") from None
    except BadZipFile as error:
        raise ArchiveProblem(f"{path} is no archive of an account, or not whole.") from error
    with zipped:
        reader = Reader(zipped, _manifest(zipped, path))
        listed = [info.filename for info in zipped.infolist()]
        if sorted(listed) != sorted([*reader.manifest["members"], MANIFEST]):
            raise ArchiveProblem(f"{path} has other members than its manifest says.")
        if names := reader.damaged():
            raise ArchiveProblem(
                f"{path} is damaged or was changed: {', '.join(names[:5])} "
                f"{'is' if len(names) == 1 else 'are'} not as the manifest says."
            )
        yield reader


def _manifest(zipped: ZipFile, path: Path) -> Manifest:
    try:
        if zipped.getinfo(MANIFEST).file_size > LONGEST_MANIFEST:
            raise ArchiveProblem(f"The manifest of {path} is too long.")
        manifest = json.loads(zipped.read(MANIFEST))
        is_ours = manifest["kind"] == KIND
        form = int(manifest["format"])
    except (*_DAMAGED, ValueError, TypeError) as error:
        raise ArchiveProblem(f"{path} has no manifest: it is no archive, or not whole.") from error
    if not is_ours:
        raise ArchiveProblem(f"{path} is no archive of an account.")
    if form > FORMAT:
        raise ArchiveProblem(
            f"{path} is of format {form}, and this version ({FORMAT}) does not know it: "
            f"update to {manifest.get('version')} first."
        )
    return dict(manifest)


def migrations() -> list[str]:
    """Return the names of this version's own migrations: what the tables look like."""
    known = MigrationLoader(None).disk_migrations
    return sorted(f"{app}.{name}" for app, name in known if app in _OWN_APPS)
