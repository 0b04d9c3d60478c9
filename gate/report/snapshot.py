"""What a comment remembers of the report before, and what has changed since then: pure, and small enough to hide."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from gate.model import ItemResult, Report, Severity, Status

_LIMIT = 2**22
"""Bytes of a remembered report, unpacked."""
_PASSED = (Status.PASS, Status.WAIVED)


class ItemSnapshot(Struct, frozen=True):
    """An item as it was."""

    status: Status
    severity: Severity = Severity.BLOCKING
    within: float | None = None


class SnapshotDiff(Struct, frozen=True):
    """What became of the items since then, in the order of the checklist; of what is gone only the ids are known."""

    failing: tuple[ItemResult, ...] = ()
    fixed: tuple[ItemResult, ...] = ()
    skipped: tuple[ItemResult, ...] = ()
    weakened: tuple[ItemResult, ...] = ()
    new: tuple[ItemResult, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.failing, self.fixed, self.skipped, self.weakened, self.new, self.removed))


class Snapshot(Struct, frozen=True):
    """What is remembered of a report: its items by id. `complete`: all of them, not only those that did not pass."""

    items: Mapping[str, ItemSnapshot] = field(default_factory=dict)
    complete: bool = True


def take_snapshot(report: Report) -> Snapshot:
    """What is needed of a report to compare with it later."""
    return Snapshot({item.id: ItemSnapshot(item.status, item.severity, item.within) for item in report.items})


def diff_since(memory: Snapshot, report: Report) -> SnapshotDiff:
    """What changed from then to now. Of an incomplete memory, what is new and removed is not known."""
    known = [(item, memory.items[item.id]) for item in report.items if item.id in memory.items]
    ids = {item.id for item in report.items}
    unknown = [item for item in report.items if item.id not in memory.items]
    failed_before = (Status.FAIL, Status.ERROR)
    newly = [item for item, before in known if item.status in failed_before and before.status not in failed_before]
    if not memory.complete:
        newly += [item for item in unknown if item.status in failed_before]
    return SnapshotDiff(
        failing=tuple(newly),
        fixed=tuple(item for item, was in known if item.status is Status.PASS and was.status not in _PASSED),
        skipped=tuple(item for item, was in known if item.status is Status.SKIP and was.status is not Status.SKIP),
        weakened=tuple(item for item, before in known if _weaker(item, before)),
        new=tuple(unknown) if memory.complete else (),
        removed=tuple(id for id in memory.items if id not in ids) if memory.complete else (),
    )


def _weaker(item: ItemResult, before: ItemSnapshot) -> bool:
    """Whether an item asks less than it did: no longer blocking, longer to wait, or under a waiver."""
    longer = item.within is not None and (before.within is None or item.within > before.within)
    advisory = item.severity is Severity.ADVISORY and before.severity is Severity.BLOCKING
    return advisory or longer or (item.status is Status.WAIVED and before.status is not Status.WAIVED)


def encode(memory: Snapshot, limit: int) -> str:
    """The memory in at most `limit` characters of base64; incomplete where it must be."""
    packed = _packed(memory)
    if len(packed) <= limit:
        return packed
    kept = {name: before for name, before in memory.items.items() if before.status is not Status.PASS}
    packed = _packed(Snapshot(kept, complete=False))
    return packed if len(packed) <= limit else _packed(Snapshot({}, complete=False))


def _packed(memory: Snapshot) -> str:
    entries = [
        [name, before.status.value, int(before.severity is Severity.ADVISORY), before.within]
        for name, before in memory.items.items()
    ]
    text = json.dumps({"v": 1, "all": memory.complete, "items": entries}, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"), 9)).decode()


def decode(text: str) -> Snapshot | None:
    """The memory of a text; None for anything that is none."""
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(text, validate=True), _LIMIT)
        data = json.loads(raw)
        return Snapshot(dict(_entry(*entry) for entry in data["items"]), bool(data["all"]))
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError, RecursionError):
        return None


def _entry(name: Any, status: Any, advisory: Any, within: Any) -> tuple[str, ItemSnapshot]:
    severity = Severity.ADVISORY if advisory else Severity.BLOCKING
    return str(name), ItemSnapshot(Status(status), severity, None if within is None else float(within))
