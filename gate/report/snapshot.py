"""The state of a report's items, small enough to hide in a comment and to compare a later report with."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from gate.model import Report, Severity, Status

# Bytes of a decompressed snapshot: the text comes from a comment that anybody may have written.
_SIZE_LIMIT = 2**22


class ItemSnapshot(Struct, frozen=True):
    """The state of one item. `within` is in seconds."""

    status: Status
    severity: Severity = Severity.BLOCKING
    within: float | None = None


class Snapshot(Struct, frozen=True):
    """The state of a report's items by id. An incomplete snapshot holds only some of them, and no item that passed."""

    items: Mapping[str, ItemSnapshot] = field(default_factory=dict)
    complete: bool = True


def take_snapshot(report: Report) -> Snapshot:
    """Return the state of every item of a report."""
    return Snapshot({item.id: ItemSnapshot(item.status, item.severity, item.within) for item in report.items})


def encode(snapshot: Snapshot, limit: int) -> str:
    """Return a snapshot as at most `limit` characters of base64.

    Leave out the items that passed if it is too long, then all items.
    """
    text = _compress(snapshot)
    if len(text) <= limit:
        return text
    not_passed = {item_id: state for item_id, state in snapshot.items.items() if state.status is not Status.PASS}
    text = _compress(Snapshot(not_passed, complete=False))
    return text if len(text) <= limit else _compress(Snapshot({}, complete=False))


def _compress(snapshot: Snapshot) -> str:
    entries = [
        [item_id, state.status.value, int(state.severity is Severity.ADVISORY), state.within]
        for item_id, state in snapshot.items.items()
    ]
    text = json.dumps({"v": 1, "all": snapshot.complete, "items": entries}, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"), 9)).decode()


def decode(text: str) -> Snapshot | None:
    """Return the snapshot that `encode` made a text of; None for any other text."""
    try:
        # The limit stops a decompression bomb: what is cut off is not valid JSON.
        content = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), _SIZE_LIMIT)
        data = json.loads(content)
        return Snapshot(dict(_decode_entry(*entry) for entry in data["items"]), bool(data["all"]))
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError, RecursionError):
        return None


def _decode_entry(item_id: Any, status: Any, advisory: Any, within: Any) -> tuple[str, ItemSnapshot]:
    severity = Severity.ADVISORY if advisory else Severity.BLOCKING
    return str(item_id), ItemSnapshot(Status(status), severity, None if within is None else float(within))
