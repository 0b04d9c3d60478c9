"""The order of a run."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from gate.checklist.order import by_phase
from gate.run.schedule import run_all


def item(name: str, *needs: str, phase: str = "main") -> Any:
    """As much of an item as the schedule looks at."""
    return SimpleNamespace(id=name, needs=list(needs), check=SimpleNamespace(phase=phase))


def order(items: list[Any], workers: int = 8) -> list[str]:
    """The ids in the order in which they were told."""
    told: list[str] = []
    run_all(items, lambda entry: SimpleNamespace(id=entry.id), lambda result: told.append(result.id), workers)
    return told


def test_needs_come_first() -> None:
    """An item is asked after those that it needs, however deep."""
    assert order([item("c", "b"), item("b", "a"), item("a")]) == ["a", "b", "c"]


def test_drills_come_last_and_one_at_a_time() -> None:
    """Drills run after all else and never two together; what follows them waits."""
    running, most, lock = [0], [0], threading.Lock()

    def ask(entry: Any) -> Any:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        threading.Event().wait(0.05)
        with lock:
            running[0] -= 1
        return SimpleNamespace(id=entry.id)

    told: list[str] = []
    items = [item("z", phase="after"), item("d1", phase="drill"), item("d2", phase="drill"), item("a")]
    run_all(items, ask, lambda result: told.append(result.id), 8)
    assert (told, most[0]) == (["a", "d1", "d2", "z"], 1)


def test_what_needs_a_drill_runs_with_the_drills() -> None:
    """An item that needs a drill moves to the drills' phase, behind it."""
    items = [item("a", "d"), item("b"), item("d", phase="drill")]
    assert {name: [entry.id for entry in group] for name, group in by_phase(items).items()} == {
        "main": ["b"],
        "drill": ["a", "d"],
        "after": [],
    }
    assert order(items) == ["b", "d", "a"]


def test_in_parallel() -> None:
    """Items without needs are under way together: here all wait for each other."""
    barrier = threading.Barrier(8, timeout=20)
    told: list[str] = []

    def ask(entry: Any) -> Any:
        barrier.wait()
        return SimpleNamespace(id=entry.id)

    run_all([item(str(number)) for number in range(8)], ask, lambda result: told.append(result.id), 8)
    assert sorted(told) == sorted(map(str, range(8)))


def test_a_need_that_was_not_chosen() -> None:
    """A needed item outside the selection does not hold the run up."""
    assert order([item("a", "gone")]) == ["a"]


def test_what_a_drill_leaves_is_known_to_the_next() -> None:
    """The next drill is asked only after the result of the one before it was told."""
    told: list[str] = []

    def ask(entry: Any) -> Any:
        return SimpleNamespace(id=entry.id, known=list(told))

    results: list[Any] = []

    def tell(result: Any) -> None:
        threading.Event().wait(0.05)
        told.append(result.id)
        results.append(result.known)

    run_all([item(name, phase="drill") for name in "abc"], ask, tell, 8)
    assert results == [[], ["a"], ["a", "b"]]


def test_a_long_chain() -> None:
    """Thousands of items that each need the one before them run in order."""
    items = [item(str(number), *([str(number - 1)] if number else [])) for number in range(3000)]
    assert order(items) == [str(number) for number in range(3000)]
