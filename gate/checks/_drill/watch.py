"""What goes on during a drill: criteria that must hold throughout, and traffic."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from urllib.parse import urlsplit

from msgspec import Struct, structs

from gate.checks._drill.spec import Criterion, Traffic
from gate.checks.asked import ask
from gate.checks.world import World
from gate.messages import say
from gate.model import Outcome, Row, Status
from gate.quantities import duration

_EVERY = 0.5
_ANSWER = 5.0
_IN_FLIGHT = 256
"""Requests that may wait for their answer at one time. Those that would be more are not sent, also not later."""
_ENOUGH = 0.5
"""The part of the requests that has to have been sent."""


def row(criterion: Criterion, outcome: Outcome, phase: str, world: World, at: float | None) -> Row:
    """Return a criterion with its outcome. `at`: seconds from the fault until it was seen; dropped if it was not."""
    return Row(
        title=criterion.heading(world),
        status=outcome.status,
        message=outcome.message,
        phase=phase,
        at=round(at, 3) if at is not None and outcome.status is Status.PASS else None,
        within=criterion.within,
        evidence=outcome.evidence,
    )


class Watch:
    """Asks a criterion again and again, until it is over or does not hold.

    Twice a second can miss a short outage. `look` asks once more for certain, such as while the fault is in place.
    """

    def __init__(self, criterion: Criterion, world: World, since: float) -> None:
        self.criterion = criterion
        self.world = world
        self.since = since
        self.rounds = 0
        self.broken: tuple[float, Outcome] | None = None
        self.last: Outcome | None = None
        self._missed = False
        self._over = False
        self._wanted = self._looked = float("-inf")
        self._changed = threading.Condition()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        once = self.criterion.but(within=None)
        try:
            while not self._over and not self.broken:
                began = time.monotonic()
                outcome = ask(once, structs.replace(self.world, fresh=began, evidence=None))
                if self.world.cancelled.is_set():
                    return
                self._saw(outcome, began)
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _saw(self, outcome: Outcome, began: float) -> None:
        """Keep an outcome, and wait until the next one is due or wanted."""
        with self._changed:
            self.rounds += 1
            self.last = outcome
            self._looked = began
            if outcome.status is not Status.PASS:
                self.broken = (time.monotonic() - self.since, outcome)
                return
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or self._wanted > self._looked, _EVERY)

    def look(self) -> None:
        """Wait until the criterion was asked once more, from now on. If it was not, it is not known to hold."""
        with self._changed:
            self._wanted = now = time.monotonic()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or self._looked >= now, once_limit(self.criterion))
            self._missed = self._missed or self._looked < now

    def end(self) -> Row:
        """End it, after a last look, and return how it went."""
        self.look()
        with self._changed:
            self._over = True
            self._changed.notify_all()
        if self.broken:
            at, outcome = self.broken
            message = say("{message} (after {at})", message=outcome.message, at=duration(at))
            return row(self.criterion, outcome.but(message=message), "throughout", self.world, None)
        if self.last is None or self._missed:
            message = say("It was never seen to hold: there was no time to look")
            outcome = Outcome(status=Status.ERROR, message=message)
            return row(self.criterion, outcome, "throughout", self.world, None)
        message = say("held all along, {rounds} times: {message}", rounds=self.rounds, message=self.last.message)
        return row(self.criterion, self.last.but(message=message), "throughout", self.world, None)


def once_limit(criterion: Criterion) -> float:
    """Seconds to wait for the last try of a criterion."""
    limit = criterion.try_limit
    return 2 * limit if limit != float("inf") else 60.0


class Sender(Struct, dict=True):
    """Sends requests at a rate, whatever becomes of them, until it is ended. One that hangs delays none after it."""

    traffic: Traffic
    world: World
    sent: int = 0
    answered: int = 0

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._free = threading.Semaphore(_IN_FLIGHT)
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._keep_rate, daemon=True)
        self._thread.start()

    def _keep_rate(self) -> None:
        for number in itertools.count():
            due = self._began + number / self.traffic.rate
            if self._over.wait(max(0.0, due - time.monotonic())) or self.world.cancelled.is_set():
                return
            if self._free.acquire(blocking=False):
                self.sent += 1
                threading.Thread(target=self._send, daemon=True).start()

    def _send(self) -> None:
        answered = self._one()
        self._free.release()
        with self._lock:
            self.answered += answered

    def _one(self) -> bool:
        parts = urlsplit(self.world.url(self.traffic.target, self.traffic.path))
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_ANSWER)
        try:
            connection.request(self.traffic.method, parts._replace(scheme="", netloc="").geturl() or "/")
            connection.getresponse().read(65536)
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()
        return True

    def end(self) -> Row:
        """Ends it and says how much was sent. Far less than was wanted is an ERROR: it may have been too little."""
        took = time.monotonic() - self._began
        self._over.set()
        self._thread.join(_ANSWER)
        message = say(
            "{sent} requests were sent in {took}, {achieved} a second; {answered} were answered",
            sent=self.sent,
            took=duration(took),
            achieved=round(self.sent / took, 1),
            answered=self.answered,
        )
        enough = self.sent >= _ENOUGH * self.traffic.rate * took
        what = say(
            "{method} {path}, {rate} a second",
            method=self.traffic.method,
            path=self.traffic.path,
            rate=self.traffic.rate,
        )
        return Row(title=what, status=Status.PASS if enough else Status.ERROR, message=message, phase="traffic")
