"""What a check may ask of the run: where its targets are, how much time is left, and what is shared between checks."""

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
        """The value of `key`, if its making began at `not_before` (monotonic) or later, else made now.

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


class CheckContext(Struct, frozen=True):
    """Everything a check may access during one attempt. `deadline` and `fresh` are `time.monotonic()` seconds."""

    root: Path
    """The checkout: relative paths of a checklist start here."""
    targets: Mapping[str, RunningTarget]
    secrets: Redactor
    deadline: float
    """When this try must be over."""
    fresh_after: float
    """Shared observations (a scrape, a rule file) that began before this moment are too old: by then all that the item
    needs had ended."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set when the run ends early: long waits must watch it."""
    memo: SingleFlightCache = field(default_factory=SingleFlightCache)
    results: Mapping[str, ItemResult] = field(default_factory=dict)
    """What became of the items that have run, by id."""
    stage: StagingEnvironment | None = None
    """Where faults are done; None where none can be."""
    began: float = field(default_factory=time.monotonic)
    """When the run began (monotonic)."""
    scrape_jobs: tuple[tuple[str, str], ...] = ()
    """Configuration file and job of each `scrape_config` item of the checklist."""
    run_id: str = ""
    """Names this run of the gate, also in the labels of what it starts."""
    rerun_command: str = ""
    """The command that asks the item again, for a check that nothing but the gate can ask."""
    evidence: ItemEvidence | None = None
    """Where the item that is asked keeps its raw evidence; None where nothing is kept."""
    log_progress: Callable[[str], None] = lambda text: None
    """Tells the person who watches what a long check is doing, in one line."""

    def remaining(self) -> float:
        """Seconds left for this try, never negative."""
        return max(0.0, self.deadline - time.monotonic())

    def with_deadline(self, deadline: float) -> CheckContext:
        """The same world for a new try that must be over by `deadline`."""
        now = time.monotonic()
        return structs.replace(self, deadline=deadline, fresh_after=now)

    def url(self, target: str, path: str = "") -> str:
        """The address of a target with a path behind it: `http://api:8080/readyz`."""
        return self.targets[target].base_url.rstrip("/") + (path if not path or path.startswith("/") else "/" + path)

    def not_there(self, target: str) -> Message | None:
        """Return why a target was not found or started: what answers at its address is something else. Else None."""
        running = self.targets[target]
        if running.located or running.failure is None:
            return None
        return msg("{target} is not ready: {why}", target=target, why=running.failure)

    def host(self, target: str) -> str:
        """The name or address under which a target is reached from here."""
        return self.targets[target].host

    def file(self, path: str) -> Path:
        """A path of the checklist, below the checkout."""
        return self.root / path
