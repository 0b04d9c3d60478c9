"""A fault cuts every way to its container: all networks, published ports, all containers of a name; or is an ERROR."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import engine, images
from tests.support.folder import Folder
from tests.support.services import free_port
from tests.support.staging import SERVES, docker, inspect

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("drills-every-way")]

HOLDS: dict[str, Any] = {"command": {"run": "true"}}
DISCONNECT: dict[str, Any] = {"disconnect": "database"}
RESET: dict[str, Any] = {"slow": {"target": "database", "reset": True}}
STUB: dict[str, Any] = {"impersonate": {"target": "database", "status": 503}}
ASKS = "import urllib.request as r; r.urlopen('http://{}', timeout=2)"


@dataclass
class Place:
    """Two networks, what a test starts on them, and a gate that works on the first from outside."""

    path: Path
    word: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: list[str] = field(default_factory=list)

    @property
    def networks(self) -> tuple[str, str]:
        """Return the names of both networks."""
        return f"a-{self.word}", f"b-{self.word}"

    def run(self, *options: str, command: tuple[str, ...] = SERVES) -> str:
        """Start a container and return its id."""
        self.started.append(docker("run", "-d", *options, images.base(), *command))
        return self.started[-1]

    def database(self, *options: str, both: bool = True) -> str:
        """Start the container `database` on one or both of the networks."""
        made = self.run("--network", self.networks[0], "--network-alias", "database", "--stop-signal", "INT", *options)
        if both:
            docker("network", "connect", "--alias", "database", "--alias", "db", self.networks[1], made)
        return made

    def gate(self, fault: dict[str, Any], *observe: dict[str, Any], **more: Any) -> tuple[dict[str, Any], str]:
        """Run a gate with one drill and return the item's outcome and the output."""
        folder = Folder(self.path)
        folder.environment |= {"PRODGATE_NETWORK": self.networks[0], "PRODGATE_IMAGE": images.action()}
        drill = {"steady": [HOLDS], "fault": fault, "observe": [*observe] or [{"within": "1s", **HOLDS}],
                 "recover": [HOLDS], "stays": "0s"}  # fmt: skip
        target = {"container": "database", "port": 5432, **more}
        folder.write({"id": "drill", "title": "D", "requires": ["database"], "drill": drill}, database=target)
        _, said = folder.run()
        assert folder.journals() == [], said
        return folder.outcomes()[0], said


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Create one for each test."""
    engine.up()
    made = Place(tmp_path)
    for network in made.networks:
        docker("network", "create", network)
    try:
        yield made
    finally:
        on_them = [id for name in made.networks for id in docker("ps", "-aq", "--filter", f"network={name}").split()]
        subprocess.run(["docker", "rm", "-f", "-v", *made.started, *on_them], check=False, capture_output=True)
        for network in made.networks:
            docker("network", "rm", network)


def fails(client: str, address: str, why: str) -> dict[str, Any]:
    """Return a check that a client gets no successful response from an address."""
    asks = ["docker", "exec", client, "python3", "-c", ASKS.format(address)]
    return {"within": "10s", "command": {"run": asks, "exit": 1, "stderr": {"matches": why}}}


def is_state(container: str, what: str) -> dict[str, Any]:
    """Return a check that a container is in a state of the engine, such as `Paused`."""
    asks = ["docker", "inspect", "-f", f"{{{{.State.{what}}}}}", container]
    return {"within": "10s", "command": {"run": asks, "stdout": "true\n"}}


@pytest.mark.parametrize(
    ("fault", "why"),
    [(DISCONNECT, "resolution|timed out|Name or service"), (RESET, "reset|refused"), (STUB, "Error 503")],
    ids=["disconnect", "slow", "impersonate"],
)
@pytest.mark.parametrize("alias", ["database", "db"])
def test_on_every_network(place: Place, fault: dict[str, Any], why: str, alias: str) -> None:
    """Whoever uses another network than the gate's meets the fault, too; the names are the same again afterwards."""
    database = place.database()
    client = place.run("--network", place.networks[1], command=("sleep", "600"))
    before = inspect(database)
    outcome, said = place.gate(fault, fails(client, f"{alias}:5432", why))
    assert outcome["status"] == "pass", said
    assert inspect(database) == before
    docker("exec", client, "python3", "-c", ASKS.format(f"{alias}:5432"))


@pytest.mark.parametrize("fault", [RESET, STUB], ids=["slow", "impersonate"])
@pytest.mark.parametrize("network", ["published", "bridge"])
def test_a_way_past_the_proxy(place: Place, fault: dict[str, Any], network: str) -> None:
    """A published port, and the engine's default network, lead past the proxy: an ERROR that names it."""
    port = free_port()
    database = place.database(*(["-p", f"{port}:5432"] if network == "published" else []), both=False)
    if network == "bridge":
        docker("network", "connect", "bridge", database)
    before = inspect(database)
    outcome, said = place.gate(fault)
    assert (outcome["status"], inspect(database)) == ("error", before), said
    assert (str(port) if network == "published" else "bridge") in json.dumps(outcome["message"])


def test_a_published_port_of_a_disconnected_container(place: Place) -> None:
    """No published port leads to a container that is off its networks; afterwards it does again."""
    port = free_port()
    database = place.database("-p", f"{port}:5432")
    before = inspect(database)
    asks = [sys.executable, "-c", ASKS.format(f"127.0.0.1:{port}")]
    outcome, said = place.gate(DISCONNECT, {"within": "10s", "command": {"run": asks, "exit": 1}})
    assert outcome["status"] == "pass", said
    assert inspect(database) == before
    subprocess.run(asks, check=True)


@pytest.mark.parametrize(
    "fault", [{"stop": "database"}, {"kill": "database"}, {"pause": "database"}, DISCONNECT, RESET, STUB], ids=str
)
@pytest.mark.parametrize("alias", ["database", "db"])
def test_another_container_of_the_name(place: Place, fault: dict[str, Any], alias: str) -> None:
    """Where a second container has a name of the target, half of the requests would meet no fault: an ERROR."""
    database = place.database()
    twin = place.run("--network", place.networks[1], "--network-alias", alias, "--name", f"twin-{place.word}")
    before = inspect(database), inspect(twin)
    outcome, said = place.gate(fault)
    assert (outcome["status"], (inspect(database), inspect(twin))) == ("error", before), said
    assert f"twin-{place.word}" in json.dumps(outcome["message"])


@pytest.mark.parametrize("fault", [DISCONNECT, RESET], ids=["disconnect", "slow"])
def test_a_container_that_shares_the_interfaces(place: Place, fault: dict[str, Any]) -> None:
    """To a container that uses its network interfaces the target is `localhost`, whatever is done: an ERROR."""
    database = place.database(both=False)
    place.run("--network", f"container:{database}", "--name", f"side-{place.word}", command=("sleep", "600"))
    outcome, said = place.gate(fault)
    assert outcome["status"] == "error", said
    assert f"side-{place.word}" in json.dumps(outcome["message"])


def test_a_container_on_the_network_of_the_machine(place: Place) -> None:
    """A container that has the machine's own network cannot be disconnected: an ERROR that names the network."""
    port, name = free_port(), f"host-{place.word}"
    serves = (*SERVES[:-1], str(port))
    place.run("--network", "host", "--name", name, command=serves)
    more = {"container": name, "port": port, "url": f"http://127.0.0.1:{port}", "ready": {"path": "/"}}
    outcome, said = place.gate(DISCONNECT, **more)
    assert outcome["status"] == "error", said
    assert "host" in json.dumps(outcome["message"]["args"])


def test_somebody_elses_container(place: Place) -> None:
    """A container on a network that the gate does not share is nobody's target, unless its own name is given."""
    name = f"own-{place.word}"
    stranger = place.run("--network", place.networks[1], "--network-alias", "database", "--name", name)
    before = inspect(stranger)
    outcome, said = place.gate({"pause": "database"})
    assert (outcome["status"], outcome["cause"], inspect(stranger)) == ("skip", "target:database", before), said
    for own in (name, stranger, stranger[:12]):
        outcome, said = place.gate({"pause": "database"}, is_state(stranger, "Paused"), container=own)
        assert (outcome["status"], inspect(stranger)) == ("pass", before), said


@pytest.mark.parametrize("known", [True, False])
def test_no_network_is_known(place: Place, known: bool) -> None:
    """On a laptop without `PRODGATE_NETWORK`, an alias finds nothing: it may be that of another project."""
    place.database()
    folder = Folder(place.path)
    folder.environment |= {"PRODGATE_NETWORK": place.networks[0] if known else ""}
    folder.write({"id": "i", "title": "I", "requires": ["database"], **HOLDS}, database={"container": "database"})
    code, said = folder.run()
    assert code == (0 if known else 1), said


def test_a_slow_start(place: Place) -> None:
    """A container that takes long until it answers was put back all the same; the time of its `ready` is for that."""
    slow = "test ! -e /begun || sleep 12; touch /begun; exec python3 -m http.server 5432"
    options = ("--network", place.networks[0], "--network-alias", "database", "--init")
    down = {"within": "10s", "command": {"run": ["docker", "inspect", "-f", "{{.State.Running}}",
            place.run(*options, command=("sh", "-c", slow))], "stdout": "false\n"}}  # fmt: skip
    outcome, said = place.gate({"kill": "database"}, down, ready={"tcp": 5432, "within": "60s"})
    assert outcome["status"] == "pass", said
    (answers,) = [row for row in outcome["rows"] if row["phase"] == "recover" and "target" in row["title"]["args"]]
    assert answers["at"] > 12
    outcome, said = place.gate({"kill": "database"}, down, ready={"tcp": 5432, "within": "20s"})
    assert outcome["status"] == "pass", said
