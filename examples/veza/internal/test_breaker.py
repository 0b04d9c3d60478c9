"""The circuit breaker, with a clock of the test's own."""

import pytest

from internal.breaker import Breaker, CircuitOpenError, State
from internal.metrics import Metrics


class Clock:
    """A clock that the test sets."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time that the test has set."""
        return self.now


def fail() -> None:
    """Fail like a refused connection."""
    raise OSError("refused")


def opened(clock: Clock) -> Breaker:
    """Return an open breaker."""
    breaker = Breaker("test", Metrics(), failures=5, open_for=5.0, clock=clock)
    for _ in range(5):
        with pytest.raises(OSError, match="refused"):
            breaker.call(fail)
    return breaker


def test_four_failures_leave_it_closed() -> None:
    """Only five failures in a row open it: a success between them starts the count again."""
    breaker = Breaker("test", Metrics(), failures=5)
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(OSError, match="refused"):
                breaker.call(fail)
        breaker.call(lambda: None)
    assert breaker.state is State.CLOSED


def test_open_calls_nothing() -> None:
    """While it is open, the dependency is left alone."""
    breaker = opened(Clock())
    with pytest.raises(CircuitOpenError):
        breaker.call(lambda: pytest.fail("was called"))
    assert breaker.state is State.OPEN


def test_one_success_closes_it_again() -> None:
    """After its time one call is let through, and its success closes the circuit."""
    clock = Clock()
    breaker = opened(clock)
    clock.now += 5.0
    assert (breaker.call(lambda: 7), breaker.state) == (7, State.CLOSED)


def test_one_failure_opens_it_again() -> None:
    """After its time one call is let through, and its failure opens the circuit for as long again."""
    clock = Clock()
    breaker = opened(clock)
    clock.now += 5.0
    with pytest.raises(OSError, match="refused"):
        breaker.call(fail)
    assert breaker.state is State.OPEN
