"""Keeps raw evidence as files beside the report: requests, responses, logs, one file each, within limits.

Nothing here can fail a run: what cannot be kept is left out, and `problem` says why.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

from gate import charsets
from gate.messages import Message, say
from gate.model import Artifact
from gate.quantities import size
from gate.secrets import Secrets

FOLDER = "evidence"
SUMS = "SHA256SUMS"
"""Is empty while a run makes the folder of evidence, and after one that was killed: the next run may empty it."""
FILE_LIMIT = 4 * 2**20
"""Bytes of one file; of a longer one both ends are kept."""
TOTAL_LIMIT = 256 * 2**20
"""Bytes of all files of a run."""
FILES_EACH = 200
"""Files of one item."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Store:
    """The folder `evidence` of one run. Safe to use from several threads."""

    def __init__(self, out: Path, secrets: Secrets) -> None:
        self.out = out
        self.secrets = secrets
        self.problem: Message | None = None
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._room = TOTAL_LIMIT
        self._prepare()

    def _prepare(self) -> None:
        """Makes the folder; an older run's evidence goes, because it proves nothing about this one."""
        folder, sums = self.out / FOLDER, self.out / SUMS
        try:
            if folder.is_dir() and not folder.is_symlink() and is_open(self.out):
                shutil.rmtree(folder)
            if not folder.exists():
                folder.mkdir(parents=True)
                sums.write_bytes(b"")
        except OSError as error:
            self._fails(error)

    def of(self, owner: str) -> Keeper:
        """Where one item, or one target, keeps its files."""
        return Keeper(self, owner)

    def keep(self, name: str, content: bytes) -> Artifact | None:
        """Writes a file under a name of its own, without secrets in it. None where it could not be kept."""
        shown, name = cut_bytes(self._hidden(content)), self.secrets.hide(name)
        with self._lock:
            if self.problem or not self._has_room(len(shown)):
                return None
            path = f"{FOLDER}/{self._free(name)}"
        try:
            descriptor = os.open(f"{self.out}/{path}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
            try:
                _write(descriptor, shown)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._fails(error)
            return None
        return Artifact(path=path, size=len(shown), sha256=hashlib.sha256(shown).hexdigest())

    def _hidden(self, content: bytes) -> bytes:
        # Decoded, not byte by byte: a value in UTF-16 or EBCDIC is found only in the text.
        return as_bytes(self.secrets.hide(charsets.readable(content, "")))

    def _has_room(self, wanted: int) -> bool:
        if wanted > self._room:
            self.problem = say("The evidence has more than {limit}: the rest was not kept", limit=size(TOTAL_LIMIT))
            return False
        self._room -= wanted
        return True

    def _free(self, name: str) -> str:
        stem, dot, end = _UNSAFE.sub("_", name).strip("._")[-120:].rpartition(".")
        plain = stem + dot + end or "file"
        found, number = plain, 1
        while found.lower() in self._names:
            number += 1
            found = f"{stem}-{number}.{end}" if stem else f"{plain}-{number}"
        self._names.add(found.lower())
        return found

    def _fails(self, error: OSError) -> None:
        self.problem = say("The evidence files could not be written: {why}", why=error.strerror or str(error))


class Keeper:
    """The files of one owner: their names begin with its own, and their number is bounded."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._left = FILES_EACH
        self._lock = threading.Lock()

    def keep(self, name: str, content: bytes) -> Artifact | None:
        """A file of this owner. None for nothing, and for one file too many."""
        if not content:
            return None
        with self._lock:
            if not self._left:
                return None
            self._left -= 1
        return self._store.keep(f"{self._owner}.{name}", content)

    def keep_all(self, files: Mapping[str, bytes]) -> tuple[Artifact, ...]:
        """Several files; those that could not be kept are missing."""
        kept = (self.keep(name, content) for name, content in files.items())
        return tuple(artifact for artifact in kept if artifact)


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def is_open(out: Path) -> bool:
    """Whether a folder of reports is one that a run has begun and not sealed."""
    sums = out / SUMS
    return sums.is_file() and sums.stat().st_size == 0


def cut_bytes(content: bytes, limit: int = FILE_LIMIT) -> bytes:
    """Both ends of what is longer than `limit` bytes, with a line between them that says so."""
    if len(content) <= limit:
        return content
    half = limit // 2
    return content[:half] + f"\n[... {len(content) - 2 * half} bytes cut ...]\n".encode() + content[-half:]


def as_bytes(text: str) -> bytes:
    """A text as the bytes of a file, whatever is in it."""
    return text.encode("utf-8", "replace")
