"""Save raw evidence as files beside the report: requests, responses, logs, within limits.

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

from gate.core.messages import Message, msg
from gate.decode import charsets
from gate.decode.quantities import format_size
from gate.model import Artifact
from gate.redaction.secrets import Redactor

FOLDER = "evidence"
# Empty while a run creates the evidence folder, and after a run that was killed: the next run may empty the folder.
CHECKSUMS = "SHA256SUMS"
# Maximum bytes of a file; of a longer one both ends are kept.
FILE_LIMIT = 4 * 2**20
# Maximum bytes of all files of a run.
TOTAL_LIMIT = 256 * 2**20
# Maximum number of files of an item.
FILES_PER_ITEM = 200
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class EvidenceStore:
    """The folder `evidence` of one run. Safe to use from several threads."""

    def __init__(self, out: Path, secrets: Redactor) -> None:
        self.out = out
        self.secrets = secrets
        self.problem: Message | None = None
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._room = TOTAL_LIMIT
        self._prepare()

    def _prepare(self) -> None:
        """Create the evidence folder and delete evidence of earlier runs."""
        folder, sums = self.out / FOLDER, self.out / CHECKSUMS
        try:
            if folder.is_dir() and not folder.is_symlink() and is_unsealed(self.out):
                shutil.rmtree(folder)
            if not folder.exists():
                folder.mkdir(parents=True)
                sums.write_bytes(b"")
        except OSError as error:
            self._fails(error)

    def for_owner(self, owner: str) -> ItemEvidence:
        """Return the files of one item or target."""
        return ItemEvidence(self, owner)

    def save(self, name: str, content: bytes) -> Artifact | None:
        """Write a redacted file under a unique name. Return None if it could not be saved."""
        shown, name = cut_bytes(self._hidden(content)), self.secrets.redact(name)
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
        # Decoded: a value in UTF-16 or EBCDIC is found only in the text.
        text = charsets.readable(content, "")
        shown = self.secrets.redact(text)
        if shown != text or as_bytes(text) == content:
            return as_bytes(shown)
        # Not UTF-8, and the encoding is a guess: the bytes are kept only if they also hold no secret as they stand.
        raw = content.decode("utf-8", "surrogateescape")
        return content if self.secrets.redact(raw) == raw else as_bytes(text)

    def _has_room(self, size: int) -> bool:
        if size > self._room:
            self.problem = msg(
                "The evidence has more than {limit}: the rest was not kept", limit=format_size(TOTAL_LIMIT)
            )
            return False
        self._room -= size
        return True

    def _free(self, name: str) -> str:
        stem, dot, end = _UNSAFE.sub("_", name).strip("._")[-120:].rpartition(".")
        plain = stem + dot + end or "file"
        free, number = plain, 1
        while free.lower() in self._names:
            number += 1
            free = f"{stem}-{number}.{end}" if stem else f"{plain}-{number}"
        self._names.add(free.lower())
        return free

    def _fails(self, error: OSError) -> None:
        self.problem = msg("The evidence files could not be written: {why}", why=error.strerror or str(error))


class ItemEvidence:
    """The files of one owner: their names begin with its own, and their number is bounded."""

    def __init__(self, store: EvidenceStore, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._left = FILES_PER_ITEM
        self._lock = threading.Lock()

    def save(self, name: str, content: bytes) -> Artifact | None:
        """Save a file of this owner. Return None if it is empty or the limit of files is reached."""
        if not content:
            return None
        with self._lock:
            if not self._left:
                return None
            self._left -= 1
        return self._store.save(f"{self._owner}.{name}", content)

    def save_all(self, files: Mapping[str, bytes]) -> tuple[Artifact, ...]:
        """Save several files; return the files that could be saved."""
        artifacts = (self.save(name, content) for name, content in files.items())
        return tuple(artifact for artifact in artifacts if artifact)


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def is_unsealed(out: Path) -> bool:
    """Return whether a run has started this report folder and not sealed it."""
    sums = out / CHECKSUMS
    return sums.is_file() and sums.stat().st_size == 0


def cut_bytes(content: bytes, limit: int = FILE_LIMIT) -> bytes:
    """Cut the middle out of data longer than `limit` bytes, with a line that marks the cut."""
    if len(content) <= limit:
        return content
    half = limit // 2
    return content[:half] + f"\n[... {len(content) - 2 * half} bytes cut ...]\n".encode() + content[-half:]


def as_bytes(text: str) -> bytes:
    """Encode any text as the bytes of a file."""
    return text.encode("utf-8", "replace")
