"""A drill leaves a container as it was: one that is broken already is not drilled, nor one that another run drills."""

from __future__ import annotations

import json
import socket
import socketserver
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import engine, images
from tests.support.folder import NOTICED, Folder, until
from tests.support.staging import SERVES, docker, inspect

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("drills-as-before")]

HOLDS: dict[str, Any] = {"command": {"run": "true"}}
LATE: dict[str, Any] = {"slow": {"target": "database", "latency": "100ms"}}


@dataclass
class Lane:
    """A network with a database on it that has addresses of its own, and gates that work there from outside."""

    path: Path
    network: str
    database: str

    def gate(self, name: str, fault: dict[str, Any], *observe: dict[str, Any]) -> Folder:
        """Return a gate with one drill on the database."""
        folder = Folder(self.path / name)
        folder.path.mkdir()
        folder.environment |= {"PRODGATE_NETWORK": self.network, "PRODGATE_IMAGE": images.action()}
        observation = [*observe, {"within": "5s", **NOTICED}]
        drill = {"steady": [HOLDS], "fault": fault, "observe": observation, "recover": [HOLDS], "stays": "0s"}
        folder.write({"id": "drill", "title": "D", "drill": drill}, database={"container": "database", "port": 5432})
        return folder

    def addresses(self) -> Any:
        """Return the addresses that the database was created with."""
        return json.loads(docker("inspect", self.database))[0]["NetworkSettings"]["Networks"][self.network][
            "IPAMConfig"
        ]

    def holds(self) -> str:
        """Return the containers with which runs lock the database."""
        return docker("ps", "-aq", "--filter", f"name=prodgate-drills-{self.database[:12]}")


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Lane]:
    """Create one for each test."""
    engine.up()
    word = uuid.uuid4().hex
    network, (four, six) = f"github_network_{word}", (f"10.213.{int(word[:2], 16)}", f"fd00:{word[:4]}:{word[4:8]}:")
    docker("network", "create", "--ipv6", "--subnet", f"{four}.0/24", "--subnet", f"{six}:/64", network)
    database = docker("run", "-d", "--network", network, "--network-alias", "database", "--stop-signal", "INT",
                      "--ip", f"{four}.77", "--ip6", f"{six}:77", images.base(), *SERVES)  # fmt: skip
    try:
        yield Lane(tmp_path, network, database)
    finally:
        left = docker("ps", "-aq", "--filter", f"network={network}").split()
        subprocess.run(["docker", "rm", "-f", "-v", database, *left], check=False, capture_output=True)
        docker("network", "rm", network)


@pytest.mark.parametrize("broken", ["stop", "pause"])
@pytest.mark.parametrize("fault", [{"stop": "database"}, {"kill": "database"}, {"pause": "database"}, LATE])
def test_what_is_broken_already(lane: Lane, broken: str, fault: dict[str, Any]) -> None:
    """A fault that finds its container stopped, or paused, breaks nothing: an ERROR, and the container stays so."""
    docker(broken, lane.database)
    before, gate = inspect(lane.database), lane.gate("one", fault)
    code, said = gate.run()
    (outcome,) = gate.outcomes()
    assert (code, outcome["status"]) == (1, "error"), said
    assert "was already down before the fault" in json.dumps(outcome), said
    assert (inspect(lane.database), gate.journals(), lane.holds()) == (before, [], "")


@pytest.mark.parametrize("fault", [{"disconnect": "database"}, LATE])
def test_addresses_of_its_own(lane: Lane, fault: dict[str, Any]) -> None:
    """A container that was given its addresses, of IPv4 and of IPv6, has them again afterwards."""
    before, gate = lane.addresses(), lane.gate("one", fault)
    assert sorted(before) == ["IPv4Address", "IPv6Address"]
    code, said = gate.run()
    assert (code, lane.addresses(), gate.journals()) == (0, before, []), said


def test_who_comes_over_ipv6(lane: Lane) -> None:
    """Ours stands in the place of a container for connections over IPv6, too: the stub answers them."""
    asks = (
        "import socket, urllib.request as r; address = socket.getaddrinfo('database', 0, socket.AF_INET6)[0][4][0]; "
        "r.urlopen(f'http://[{address}]:5432')"
    )
    client = docker("run", "-d", "--network", lane.network, images.base(), "sleep", "600")
    sees = {"within": "5s", "command": {"run": ["docker", "exec", client, "python3", "-c", asks], "exit": 1,
                                        "stderr": {"contains": "Error 503"}}}  # fmt: skip
    gate = lane.gate("one", {"impersonate": {"target": "database", "status": 503}}, sees)
    code, said = gate.run()
    assert code == 0, said


def test_a_container_that_another_run_drills(lane: Lane) -> None:
    """Of two gates that drill one container, the second is refused and touches nothing, also once the first is dead.

    After `restore` the container can be drilled again.
    """
    first = lane.gate("first", {"pause": "database"}, {"within": "60s", "command": {"run": "false"}})
    second = lane.gate("second", {"pause": "database"})
    gate = first.start()
    until(lambda: inspect(lane.database).state == "paused")
    for dead in (False, True):
        if dead:
            first.kill(gate)
        assert second.run()[0] == 1
        (outcome,) = second.outcomes()
        assert outcome["status"] == "error", outcome
        assert "another run is drilling" in json.dumps(outcome["message"]), outcome
        assert (inspect(lane.database).state, second.journals()) == ("paused", [])
        assert lane.holds()
    code, said = first.run("restore")
    assert (code, inspect(lane.database).state, lane.holds()) == (0, "running", ""), said
    code, said = second.run()
    assert (code, lane.holds()) == (0, ""), said


def test_a_container_that_is_there_no_more(lane: Lane) -> None:
    """A container that was removed after the gate was killed was not put back: `restore` says so, once."""
    folder = lane.gate("one", {"pause": "database"}, {"within": "60s", "command": {"run": "false"}})
    gate = folder.start()
    until(lambda: inspect(lane.database).state == "paused")
    folder.kill(gate)
    docker("rm", "-f", lane.database)
    code, said = folder.run("restore")
    lines = [line for line in said.splitlines() if "unpause_container" in line]
    assert [line.startswith("prodgate: can no longer be reverted") for line in lines] == [True], said
    assert (code, folder.journals()) == (0, []), said
    assert folder.run("restore") == (0, "nothing to revert\n")


UNABLE = b'{"message": "Cannot pause container: OCI runtime pause failed: unable to freeze: unknown"}'


@contextmanager
def busy_engine(path: Path, refusals: int) -> Iterator[str]:
    """Serve an engine that fails `refusals` times, with runc's error for a cgroup v1 that it can't freeze in time."""
    left = iter(range(refusals))

    class Between(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as there:
                there.connect("/var/run/docker.sock")
                back = threading.Thread(target=pump, args=(there, self.request))
                back.start()
                while data := self.request.recv(65536):
                    if b"/pause HTTP/" in data and next(left, None) is not None:
                        head = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
                        self.request.sendall(head + b"Content-Length: %d\r\n\r\n" % len(UNABLE) + UNABLE)
                    else:
                        there.sendall(data)
                there.shutdown(socket.SHUT_WR)
                back.join()

    def pump(there: socket.socket, here: socket.socket) -> None:
        while data := there.recv(65536):
            here.sendall(data)

    with socketserver.ThreadingUnixStreamServer(str(path), Between) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"unix://{path}"
        server.shutdown()


def test_an_engine_that_has_no_time_to_freeze(lane: Lane, tmp_path: Path) -> None:
    """Under load an engine may fail to pause a container, and succeeds a moment later: the drill asks it again."""
    gate = lane.gate("one", {"pause": "database"})
    with busy_engine(tmp_path / "engine", 2) as address:
        gate.environment["DOCKER_HOST"] = address
        code, said = gate.run()
    assert (code, inspect(lane.database).state, lane.holds()) == (0, "running", ""), said
