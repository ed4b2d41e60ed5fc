"""The file of a backup: a tar of the dump, the agents' files and the manifest.

`tar` and `pg_restore` read it too: `tar -xOf FILE database.dump | pg_restore …`. The manifest comes
last, so a file that has one is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from salient.database.upgrades.backups.programs import BackupProblem

DUMP, MANIFEST, CONFIGS = "database.dump", "manifest.json", "agent_configs"
# What a reader of this code understands.
FORM = 1
FACTS = frozenset(
    ("version", "made_at", "postgresql", "migrations", "roles", "tables", "dump", "config_files")
)
CHUNK = 1 << 20

type Manifest = dict[str, Any]


class Archive:
    """A backup that is being written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o600
        self._file.write(info.tobuf(tarfile.GNU_FORMAT) + data)
        self._pad(len(data))

    def add_stream(self, name: str, source: IO[bytes]) -> tuple[int, str]:
        """Add what nobody knows the size of yet; return its size and its SHA-256."""
        begin, size, digest = self._file.tell(), 0, hashlib.sha256()
        info = tarfile.TarInfo(name)
        info.mode = 0o600
        self._file.write(info.tobuf(tarfile.GNU_FORMAT))
        while chunk := source.read(CHUNK):
            self._file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        self._pad(size)
        end, info.size = self._file.tell(), size
        self._file.seek(begin)
        self._file.write(info.tobuf(tarfile.GNU_FORMAT))
        self._file.seek(end)
        return size, digest.hexdigest()

    def close(self, manifest: Manifest) -> None:
        self.add(MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False).encode())
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _pad(self, size: int) -> None:
        self._file.write(bytes(-size % tarfile.BLOCKSIZE))


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Write under a temporary name beside `path`, only for the owner; it gets its name when whole.

    Raises BackupProblem where the path is taken or cannot be written.
    """
    if path.exists():
        raise BackupProblem(f"{path} exists: name another file.")
    try:
        number, draft = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise BackupProblem(f"{path.parent} cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(number, "wb") as file:
            yield file
        Path(draft).rename(path)
    except OSError as error:
        raise BackupProblem(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(FileNotFoundError):
            Path(draft).unlink()


def read_manifest(path: Path) -> Manifest:
    """Return what a backup says of itself; raises BackupProblem for any other file."""
    with _opened(path) as archive:
        try:
            manifest = json.load(_member(archive, MANIFEST))
        except (KeyError, ValueError):
            raise BackupProblem(f"{path} has no manifest: it is not a complete backup.") from None
    if not isinstance(manifest, dict) or "form" not in manifest:
        raise BackupProblem(f"{path} has a manifest of something else: it is no backup.")
    if manifest["form"] != FORM:
        raise BackupProblem(f"{path} was written by a newer release, in another form.")
    if missing := sorted(FACTS - manifest.keys()):
        raise BackupProblem(f"The manifest of {path} lacks {', '.join(missing)}: it is damaged.")
    return manifest


def dump_of(path: Path) -> Iterator[bytes]:
    """Yield the dump piece by piece."""
    with _opened(path) as archive:
        file = _member(archive, DUMP)
        while chunk := file.read(CHUNK):
            yield chunk


def require_whole(path: Path, manifest: Manifest) -> None:
    """Raise BackupProblem unless the dump and the agents' files are those of the manifest."""
    digest = hashlib.sha256()
    for chunk in dump_of(path):
        digest.update(chunk)
    if digest.hexdigest() != manifest["dump"]["sha256"]:
        raise BackupProblem(f"The dump in {path} is not the one of its manifest: it is damaged.")
    with _opened(path) as archive:
        expected = {f"{CONFIGS}/{name}": known for name, known in manifest["config_files"].items()}
        # Whoever unpacks them with tar has what is checked here, and nothing beside it.
        names = sorted(each.name for each in archive)
        if names != sorted([DUMP, MANIFEST, *expected]):
            raise BackupProblem(f"{path} holds other files than its manifest says.")
        for name, known in expected.items():
            if hashlib.sha256(_member(archive, name).read()).hexdigest() != known:
                raise BackupProblem(f"{name} in {path} is not the one of its manifest.")


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """Open a file of the archive; raises KeyError for a name that it lacks, or that is no file."""
    if not archive.getmember(name).isreg():
        raise KeyError(name)
    return cast(IO[bytes], archive.extractfile(name))


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as archive:
            yield archive
    except (tarfile.TarError, EOFError) as error:
        raise BackupProblem(f"{path} is not a complete backup ({error}).") from None
    except KeyError as error:
        raise BackupProblem(f"{path} is not a complete backup (no {error.args[0]}).") from None
    except OSError as error:
        raise BackupProblem(f"{path} cannot be read: {error.strerror}.") from None


def config_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the agents' files by their path below the folder; hidden ones and links are left."""
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in below.parts)
        if path.is_file() and not path.is_symlink() and not is_hidden:
            try:
                data = path.read_bytes()
            except OSError as error:
                raise BackupProblem(f"{path} cannot be read: {error.strerror}.") from None
            yield below.as_posix(), data
