"""Define what a check may access: targets, time left, and what checks share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct, field, structs

from gate.core.messages import Message, msg
from gate.redaction.secrets import Redactor

if TYPE_CHECKING:
    from gate.model import ItemResult
    from gate.runtime.evidence import ItemEvidence
    from gate.staging.environment import StagingEnvironment
    from gate.staging.target import RunningTarget

Shared = TypeVar("Shared")


class SingleFlightCache:
    """Values that several checks want at one time, made once: the first to ask makes it, the others wait.

    Each caller says how old a value may be: it never gets one whose making began before what it depends on had ended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[Any, tuple[float, threading.Event, list[Any]]] = {}

    def get(self, key: Any, make: Callable[[], Shared], *, not_before: float, remaining: float) -> Shared:
        """Return the value of `key` if its computation started at `not_before` (monotonic) or later; else compute it.

        An exception of `make` is raised to everyone who waits for it. Raises TimeoutError after `remaining` seconds.
        """
        with self._lock:
            entry = self._made.get(key)
            mine = entry is None or entry[0] < not_before
            if mine:
                entry = (time.monotonic(), threading.Event(), [])
                self._made[key] = entry
        assert entry is not None
        _, done, box = entry
        if mine:
            try:
                box.append((True, make()))
            except BaseException as error:
                box.append((False, error))
                raise
            finally:
                done.set()
        elif not done.wait(min(max(0.0, remaining), threading.TIMEOUT_MAX)):
            raise TimeoutError
        ok, value = box[0]
        if not ok:
            raise value
        result: Shared = value
        return result


class DrilledFault(Struct, frozen=True):
    """A target that a drill of the checklist breaks. `fault` is empty if a script breaks it."""

    item: str
    fault: str
    target: str


class CheckContext(Struct, frozen=True):
    """Everything a check may access during one attempt. `deadline` and `fresh` are `time.monotonic()` seconds."""

    # The checkout: relative paths of a checklist start here.
    root: Path
    targets: Mapping[str, RunningTarget]
    secrets: Redactor
    # Deadline of this attempt.
    deadline: float
    # Shared observations (a scrape, a rule file) that started before this are too old: an item that this one needs had
    # not ended yet.
    fresh_after: float
    # Set when the run ends early: long waits must watch it.
    cancelled: threading.Event = field(default_factory=threading.Event)
    memo: SingleFlightCache = field(default_factory=SingleFlightCache)
    # Results of the items that have run, by id.
    results: Mapping[str, ItemResult] = field(default_factory=dict)
    # The environment in which faults are injected; None if no fault can be.
    stage: StagingEnvironment | None = None
    # Start of the run (monotonic).
    began: float = field(default_factory=time.monotonic)
    # Configuration file and job of each `scrape_config` item of the checklist.
    scrape_jobs: tuple[tuple[str, str], ...] = ()
    # Targets that checks of the checklist query as a Prometheus.
    prometheus_targets: tuple[str, ...] = ()
    # Targets that something under test depends on, and what the drills of the checklist break.
    dependencies: tuple[str, ...] = ()
    drilled_faults: tuple[DrilledFault, ...] = ()
    # Identifies this run, also in the labels of what it starts.
    run_id: str = ""
    # Command that runs the item again, for checks that only the gate can run.
    rerun_command: str = ""
    # Where the item saves its raw evidence; None if nothing is saved.
    evidence: ItemEvidence | None = None
    # Logs what a long check is doing, in one line.
    log_progress: Callable[[str], None] = lambda text: None

    def remaining(self) -> float:
        """Return the seconds left for this attempt, never negative."""
        return max(0.0, self.deadline - time.monotonic())

    def with_deadline(self, deadline: float) -> CheckContext:
        """Return the context of a new attempt that must end by `deadline`."""
        now = time.monotonic()
        return structs.replace(self, deadline=deadline, fresh_after=now)

    def url(self, target: str, path: str = "") -> str:
        """Return the URL of a path of a target: `http://api:8080/readyz`."""
        return self.targets[target].base_url.rstrip("/") + (path if not path or path.startswith("/") else "/" + path)

    def not_there(self, target: str) -> Message | None:
        """Return why a target was not found or started: what answers at its address is something else. Else None."""
        running = self.targets[target]
        if running.located or running.failure is None:
            return None
        return msg("{target} is not ready: {why}", target=target, why=running.failure)

    def host(self, target: str) -> str:
        """Return the name or address at which a target is reached from here."""
        return self.targets[target].host

    def file(self, path: str) -> Path:
        """Return a path of the checklist below the checkout."""
        return self.root / path
