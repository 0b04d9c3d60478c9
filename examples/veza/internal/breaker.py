"""A circuit breaker: after some failures in a row it stops calling, and after a while it lets one call try."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import IntEnum
from typing import TypeVar

from internal.metrics import Metrics

Result = TypeVar("Result")


class State(IntEnum):
    """The values of `veza_circuit_breaker_state`."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitOpenError(Exception):
    """The dependency failed too often just now: it was not called."""


class Breaker:
    """Opens after `failures` failures in a row; `open_for` seconds later one call decides whether it closes again."""

    def __init__(
        self,
        name: str,
        metrics: Metrics,
        *,
        failures: int = 5,
        open_for: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.failures = failures
        self.open_for = open_for
        self._clock = clock
        self._lock = threading.Lock()
        self._state = State.CLOSED
        self._failed = 0
        self._opened = 0.0
        self._gauge = metrics.breaker_state.labels(name)
        self._gauge.set(State.CLOSED)
        self._count = {
            result: metrics.breaker_requests.labels(name, result) for result in ("success", "failure", "rejected")
        }

    @property
    def state(self) -> State:
        """Return whether calls are allowed."""
        return self._state

    def call(self, function: Callable[[], Result]) -> Result:
        """Call the function. Raises CircuitOpenError without a call if the circuit is open."""
        self._enter()
        try:
            result = function()
        except Exception:
            self._after(ok=False)
            raise
        self._after(ok=True)
        return result

    def _enter(self) -> None:
        with self._lock:
            waited = self._clock() - self._opened >= self.open_for
            if self._state is State.OPEN and waited:
                self._become(State.HALF_OPEN)
            elif self._state is not State.CLOSED:
                self._count["rejected"].inc()
                raise CircuitOpenError(f"{self.name}: the circuit is open")

    def _after(self, *, ok: bool) -> None:
        with self._lock:
            self._count["success" if ok else "failure"].inc()
            self._failed = 0 if ok else self._failed + 1
            if ok:
                self._become(State.CLOSED)
            elif self._state is State.HALF_OPEN or self._failed >= self.failures:
                self._opened = self._clock()
                self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self._state = state
        self._gauge.set(state)
