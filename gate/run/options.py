"""Define the options of a run."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct, field

from gate.checklist.models import Item
from gate.model import Provenance, VerdictReason
from gate.runtime.evidence import EvidenceStore


class RunOptions(Struct, frozen=True):
    """The options of a run. `deadline` is in seconds, for the whole run."""

    root: Path
    items: tuple[Item, ...]
    workers: int
    deadline: float | None = None
    language: str | None = None
    source: Provenance = field(default_factory=Provenance)
    blockers: tuple[VerdictReason, ...] = ()
    reservations: tuple[VerdictReason, ...] = ()
    evidence: EvidenceStore | None = None
