"""The threads in which checks are tried."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from gate.runtime.threads import Attempt


def test_threads_are_used_again() -> None:
    """Tries one after the other need one thread more at most, however many they are."""
    before = threading.active_count()
    names = {Attempt(threading.get_ident).wait(20)[0] for _ in range(50)}
    assert len(names) <= 2
    assert threading.active_count() - before <= 2


def test_one_that_hangs_is_left_behind() -> None:
    """A try that does not end holds up no other, and its result can still be fetched when it comes."""
    go_on = threading.Event()
    hanging = Attempt(lambda: go_on.wait(20))
    assert hanging.wait(0.01) == []
    assert [Attempt(partial(abs, number)).wait(20) for number in range(5)] == [[0], [1], [2], [3], [4]]
    go_on.set()
    assert hanging.wait(20) == [True]


@pytest.mark.parametrize("error", [MemoryError(), SystemExit(1), ValueError("no")])
def test_what_the_work_raises(error: BaseException) -> None:
    """What the work raises is raised where its result is awaited, and the thread goes on."""

    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        Attempt(work).wait(20)
    assert Attempt(lambda: 1).wait(20) == [1]
