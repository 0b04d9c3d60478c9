"""Memory that all attempts share: large responses wait for room, and the gate stays small however many come at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gate.runtime import memory_budget
from gate.runtime.memory_budget import Budget, Lease
from tests.support.web import Reply, serving

WAIT = 60.0
QUERIES = 12
SIZE = 32 * 2**20
MOST = 1000 * 2**20


def started(work: object) -> threading.Thread:
    """Run some work in a thread."""
    thread = threading.Thread(target=work, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def test_a_lease_waits_for_room() -> None:
    """A lease gets its room when another one is closed, and counts the time that it waited."""
    budget = Budget(100)
    first, second, got = Lease(budget), Lease(budget), threading.Event()
    first.reserve(80)

    def wait() -> None:
        second.reserve(30)
        got.set()

    thread = started(wait)
    assert not got.wait(0.2)
    assert second.waited > 0
    first.close()
    assert got.wait(WAIT)
    thread.join(WAIT)
    assert first.waited == pytest.approx(0, abs=0.1)
    assert second.waited > 0.1


def test_more_than_there_is() -> None:
    """A need larger than the budget gets all of it, and is not refused."""
    budget = Budget(100)
    first = Lease(budget)
    first.reserve(1000)
    first.close()
    second = Lease(budget)
    second.reserve(100)


def test_leases_that_wait_for_each_other() -> None:
    """Leases that all hold something and wait for more do not wait for ever."""
    budget, done = Budget(100), []
    leases = [Lease(budget) for _ in range(4)]
    for lease in leases:
        lease.reserve(25)

    def grow(lease: Lease) -> None:
        lease.reserve(50)
        done.append(lease)
        lease.close()

    threads = [started(lambda lease=lease: grow(lease)) for lease in leases]
    for thread in threads:
        thread.join(WAIT)
    assert len(done) == 4


def test_a_closed_lease_gets_nothing() -> None:
    """An attempt that was given up, and whose thread goes on, takes no room from others."""
    budget = Budget(100)
    first, second, refused = Lease(budget), Lease(budget), threading.Event()
    first.reserve(100)

    def wait() -> None:
        with pytest.raises(TimeoutError):
            second.reserve(50)
        refused.set()

    thread = started(wait)
    second.close()
    first.close()
    assert refused.wait(WAIT)
    thread.join(WAIT)
    Lease(budget).reserve(100)


def test_the_lease_of_a_thread() -> None:
    """A thread has the lease that it was given; without one, a block has one of its own."""
    lease = Lease(Budget(100))
    with memory_budget.using(lease), memory_budget.current() as found:
        assert found is lease
    with memory_budget.current() as found:
        assert found is not lease


def vector(size: int) -> bytes:
    """Return a query's response of `size` bytes."""
    entry = '{"metric":{"__name__":"http_requests_total","instance":"10.0.0.%d:9090","job":"%s"},"value":[1.5,"%d"]}'
    count = size // (len(entry) + 320)
    entries = ",".join(entry % (number, "j" * 300, number) for number in range(count))
    made = f'{{"status":"success","data":{{"resultType":"vector","result":[{entries}]}}}}'
    return made.ljust(size).encode()


def test_many_large_responses_at_once(tmp_path: Path) -> None:
    """Twelve queries at once, each with the largest response, pass in less than 1 GB; waiting costs no time limit."""
    items = "".join(
        f"      - {{id: q{number}, title: Q, timeout: 30s, promql: {{target: p, query: up, value: {{ge: 0}}}}}}\n"
        for number in range(QUERIES)
    )
    with serving({"/api/v1/query": Reply(200, vector(SIZE), {"Content-Type": "application/json"})}) as web:
        (tmp_path / "prodgate.yml").write_text(
            f"version: 1\nservice: s\ntargets: {{p: {{url: '{web.url}'}}}}\n"
            f"sections:\n  - id: s\n    title: S\n    items:\n{items}"
        )
        with (tmp_path / "log").open("wb") as log:
            command = [sys.executable, "-m", "gate", "run", "--workers", str(QUERIES)]
            process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (tmp_path / "log").read_text()
    assert usage.ru_maxrss * 1024 < MOST
