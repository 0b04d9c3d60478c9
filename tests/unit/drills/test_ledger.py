"""A ledger of writes: what counts as acknowledged, what is lost, and what proves nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gate.checks.base import ObservationError
from gate.decode.structs import ValidationError, decode_all_errors
from gate.drills.ledger import LedgerKeeper
from gate.drills.spec import Ledger
from gate.drills.workload import PhaseTimes
from gate.model import CriterionResult, Status
from tests.support.checks import context

WRITE: dict[str, Any] = {"http": {"target": "api", "method": "POST", "path": "/orders/{id}", "status": 201}}
READ: dict[str, Any] = {"http": {"target": "api", "path": "/orders/{id}", "status": 200}}


class Store:
    """A service that keeps orders. `answer` decides the status of a write by its number; None closes the connection."""

    def __init__(self) -> None:
        self.orders: dict[str, int] = {}
        self.writes = 0
        self.answer: Callable[[int], int | None] = lambda number: 201
        self.read_status = 200
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                store.writes += 1
                status, key = store.answer(store.writes), self.path.rpartition("/")[2]
                if status in (201, None):
                    store.orders[key] = store.writes
                if status is None:
                    self.close_connection = True
                    return
                self._send(status, {"order": {"id": store.writes}})

            def do_GET(self) -> None:
                key = self.path.rpartition("/")[2]
                known = key in store.orders or key in map(str, store.orders.values())
                self._send(store.read_status if known else 404, {"key": key})

            def _send(self, status: int, value: dict[str, Any]) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def store() -> Iterator[Store]:
    """Provide a service that loses nothing."""
    made = Store()
    yield made
    made.server.shutdown()
    made.server.server_close()


def keeper(store: Store, **fields: Any) -> LedgerKeeper:
    """Return a ledger as a checklist has it, with 20 writes per second."""
    ledger = decode_all_errors({"write": WRITE, "read": READ, "rate": 20, **fields}, Ledger)
    return LedgerKeeper(ledger, context(Path(), limit=60, api=store.url))


def run(made: LedgerKeeper, meanwhile: Callable[[], None] = lambda: None) -> CriterionResult:
    """Write until there is something to lose, do something, and return the ledger's row after a recovery."""
    made.start()
    assert made.check_before_fault() == []
    fault = time.monotonic()
    meanwhile()
    (row,) = made.end(PhaseTimes(fault, time.monotonic() - made.lead)).rows
    return row


def test_every_acknowledged_write_is_read(store: Store) -> None:
    """Nothing is lost: as many writes are acknowledged as the service has."""
    made = keeper(store)
    row = run(made)
    assert row.status is Status.PASS, row.message
    assert len([write for write in made.writes if write.readable]) == len(store.orders) > 10


@pytest.mark.parametrize(("lost", "status"), [({}, Status.FAIL), ({"lost": {"le": 2}}, Status.PASS)])
def test_lost_writes_are_named_with_their_time(store: Store, lost: dict[str, Any], status: Status) -> None:
    """A write that was acknowledged and is gone fails the ledger, unless so many may be lost."""
    row = run(keeper(store, **lost), lambda: [store.orders.pop(key) for key in list(store.orders)[3:5]] and None)
    assert row.status is status, row.message
    assert str(row.message).count("before the fault)") == 2
    assert "-4 (acknowledged" in str(row.message)


def test_writes_without_a_response_are_counted_apart(store: Store) -> None:
    """A write whose response never came is in doubt, and one that was refused was promised to nobody."""
    store.answer = lambda number: 201 if number < 10 else None if number % 2 else 503
    made = keeper(store)
    row = run(made, lambda: time.sleep(0.3))
    in_doubt = [write for write in made.writes if write.state == "in doubt"]
    assert row.status is Status.PASS, row.message
    assert in_doubt
    assert all(write.readable for write in in_doubt)
    assert {write.state for write in made.writes} == {"acknowledged", "in doubt", "refused"}
    assert f"in flight without a response: {len(in_doubt)}, of which written: {len(in_doubt)}" in str(row.message)


def test_ids_of_the_service_are_found_in_its_responses(store: Store) -> None:
    """With `id`, the read has the id that the service gave, with its type."""
    made = keeper(store, id="order.id")
    assert run(made).status is Status.PASS
    assert all(isinstance(write.id, int) for write in made.writes)
    made = keeper(store, id="order.number")
    made.start()
    (row,) = made.check_before_fault()
    made.stop()
    assert row.status == Status.FAIL
    assert "its response has no order.number" in str(row.message)


def test_reads_that_fail_are_not_lost_writes(store: Store) -> None:
    """A read that gets a 5xx says nothing about a write: an ERROR."""
    row = run(keeper(store), lambda: setattr(store, "read_status", 503))
    assert row.status == Status.ERROR
    assert "could not be read" in str(row.message)


def test_read_is_tried_again_within_its_time(store: Store) -> None:
    """A service that needs a moment after its recovery has not lost what it finds then."""
    made = keeper(store, read={**READ, "within": "20s"})

    def hide_for_a_while() -> None:
        hidden, store.orders = store.orders, {}
        threading.Timer(1.0, lambda: store.orders.update(hidden)).start()

    assert run(made, hide_for_a_while).status is Status.PASS


def test_read_that_always_passes_proves_nothing(store: Store) -> None:
    """A read that also finds what was never written cannot miss a lost write: an ERROR before the fault."""
    made = keeper(store, read={"http": {"target": "api", "path": "/orders/{id}", "status": [200, 404]}})
    with pytest.raises(ObservationError, match="never written"):
        made.start()


@pytest.mark.parametrize(
    ("answer", "read_status", "why"),
    [(lambda number: 500, 200, "no write was acknowledged"), (lambda number: 201, 418, "cannot be read before")],
)
def test_ledger_that_does_not_work_before_the_fault(store: Store, answer: Any, read_status: int, why: str) -> None:
    """Without an acknowledged and readable write before the fault, the ledger could lose nothing: a FAIL."""
    store.answer, store.read_status = answer, read_status
    made = keeper(store)
    made.start()
    (row,) = made.check_before_fault()
    made.stop()
    assert row.status == Status.FAIL, row.message
    assert why in str(row.message), row.message


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"read": {"http": {"target": "api", "path": "/orders", "status": 200}}}, "expected '{id}' in 'read'"),
        ({"write": {"http": {"target": "api", "path": "/", "status": 201}}}, "expected '{id}' in 'write'"),
        ({"write": {"tcp": {"target": "api"}}}, "expected an 'http' check under 'write'"),
        ({"write": {**WRITE, "within": "5s"}}, "expected no 'within' under 'write'"),
        ({"write": {"http": {"target": "api", "path": "/{id}"}}}, "expected at least one of"),
        ({"lost": -1}, "count"),
        ({"rate": 51}, "at most 50"),
    ],
    ids=str,
)
def test_ledger_that_means_nothing_is_an_error(fields: dict[str, Any], why: str) -> None:
    """A ledger without an id, or whose write is never acknowledged, is an error of the checklist."""
    with pytest.raises(ValidationError) as error:
        decode_all_errors({"write": WRITE, "read": READ, **fields}, Ledger)
    assert why in "; ".join(issue.text for issue in error.value.issues)
