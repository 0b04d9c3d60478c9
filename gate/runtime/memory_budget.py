"""A budget of memory that everything asked at the same time shares: a large response waits until there is room for it.

What a response needs is estimated from its size before it is parsed. A lease lasts for one attempt of a check.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# Maximum bytes of all leases together.
TOTAL = 640 * 2**20
# Bytes up to which a response needs no lease.
SMALL = 512 * 1024
# Seconds to wait for a lease.
LONGEST_WAIT = 300.0


class Budget:
    """So many bytes, held by leases."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._changed = threading.Condition()
        self._used = 0
        self._holders = 0
        self._stuck = 0
        """Leases that hold something and wait for more."""

    def take(self, held: int, size: int, deadline: float) -> int:
        """Wait for room, and return how many bytes were taken. Raises TimeoutError at the deadline.

        A lease that holds something gets more without room if all that hold something wait: nobody else would end.
        """
        size = min(size, self.total)
        with self._changed:
            self._stuck += held > 0
            self._changed.notify_all()
            try:
                fits = self._changed.wait_for(
                    lambda: self._used + size <= self.total or (held > 0 and self._stuck == self._holders),
                    max(0.0, min(deadline - time.monotonic(), threading.TIMEOUT_MAX)),
                )
            finally:
                self._stuck -= held > 0
            if not fits:
                raise TimeoutError
            self._used += size
            self._holders += held == 0
        return size

    def give_back(self, size: int, *, all_of_it: bool) -> None:
        """Give bytes of a lease back; `all_of_it` if it holds nothing more."""
        with self._changed:
            self._used -= size
            self._holders -= all_of_it
            self._changed.notify_all()


class Lease:
    """What one attempt holds of a budget."""

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget or _budget
        self._lock = threading.Lock()
        self._held = 0
        self._closed = False
        self._waited = 0.0
        self._waits_since: float | None = None

    @property
    def waited(self) -> float:
        """Return the seconds spent waiting for a lease so far: no time limit of the attempt counts them."""
        since = self._waits_since
        return self._waited + (0.0 if since is None else time.monotonic() - since)

    def reserve(self, size: int) -> None:
        """Wait for room for so many bytes more. Raises TimeoutError after five minutes, or if the lease is closed."""
        held, began = self._held, time.monotonic()
        self._waits_since = began
        try:
            taken = self._budget.take(held, size, began + LONGEST_WAIT)
        finally:
            self._waited += time.monotonic() - began
            self._waits_since = None
        with self._lock:
            if not self._closed:
                self._held += taken
                return
        self._budget.give_back(taken, all_of_it=not held)
        raise TimeoutError

    def close(self) -> None:
        """Give everything back, also if the thread that uses the lease still runs. It gets nothing more."""
        with self._lock:
            self._closed = True
            held, self._held = self._held, 0
        if held:
            self._budget.give_back(held, all_of_it=True)


_budget = Budget(TOTAL)
_current = threading.local()


@contextmanager
def using(lease: Lease) -> Iterator[None]:
    """Make a lease that of this thread, for a block."""
    _current.lease = lease
    try:
        yield
    finally:
        _current.lease = None


@contextmanager
def current() -> Iterator[Lease]:
    """Give the lease of this thread, or a new one that ends with the block."""
    own: Lease | None = getattr(_current, "lease", None)
    if own is not None:
        yield own
        return
    lease = Lease()
    try:
        with using(lease):
            yield lease
    finally:
        lease.close()
