"""Restarts, deployments and CPU limits of a container that somebody else started: proved, noticed, and reverted."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import engine, images
from tests.support.folder import NOTICED, Folder
from tests.support.services import free_port
from tests.support.staging import SERVES, docker

BALANCER = Path(__file__).parents[1] / "support" / "balancer.py"
pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("staging")]


@dataclass
class Site:
    """A container `database` on two networks, and a gate outside that runs drills on it."""

    folder: Folder
    networks: tuple[str, str]
    database: str

    def run(self, fault: dict[str, Any], **drill: Any) -> dict[str, Any]:
        """Run a drill; return its outcome. Nothing may be left of it."""
        before = self.state()
        target = {"container": "database", "port": 5432, "ready": {"path": "/", "within": "20s"}}
        made = {"steady": [{"within": "10s", "http": {"target": "database", "path": "/", "status": 200}}],
                "fault": fault, "stays": "0s", **drill}  # fmt: skip
        self.folder.write({"id": "drill", "title": "D", "requires": ["database"], "drill": made}, database=target)
        code, said = self.folder.run()
        (outcome,) = self.folder.outcomes()
        assert self.folder.journals() == [], said
        assert self.state() == before, said
        assert code == (0 if outcome["status"] == "pass" else 1), said
        return outcome

    def state(self) -> Any:
        """Return what a fault could change: the container's state, networks and quota, and who is on its networks."""
        found = json.loads(docker("inspect", self.database))[0]
        networks = {
            name: sorted(place["Aliases"] or []) for name, place in found["NetworkSettings"]["Networks"].items()
        }
        listed = [docker("ps", "-aq", "--filter", f"network={network}") for network in self.networks]
        quota = max(0, found["HostConfig"]["CpuQuota"])
        return found["State"]["Status"], found["Config"]["Image"], networks, quota, listed


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Start the container; `request.param` has more options of `docker run`."""
    engine.up()
    word = uuid.uuid4().hex[:12]
    networks = (f"one-{word}", f"two-{word}")
    for network in networks:
        docker("network", "create", network)
    options = getattr(request, "param", [])
    try:
        database = docker("run", "-d", "--network", networks[0], "--network-alias", "database", "--stop-signal", "INT",
                          "-e", "KEPT=yes", "-v", "/data", *options, images.base(), *SERVES)  # fmt: skip
        docker("network", "connect", "--alias", "database", "--alias", "db", networks[1], database)
        folder = Folder(tmp_path)
        folder.environment |= {"PRODGATE_NETWORK": networks[0]}
        yield Site(folder, networks, database)
    finally:
        left = {id for name in networks for id in docker("ps", "-aq", "--filter", f"network={name}").split()}
        subprocess.run(["docker", "rm", "-f", "-v", *left], check=False, capture_output=True)
        for network in networks:
            docker("network", "rm", network)


def test_restart(site: Site) -> None:
    """The container is stopped and started: users notice that there is only one of it."""
    started = docker("inspect", "-f", "{{.State.StartedAt}}", site.database)
    traffic = {"target": "database", "path": "/", "rate": 20, "errors": 0}
    outcome = site.run({"restart": "database"}, traffic=traffic)
    assert docker("inspect", "-f", "{{.State.StartedAt}}", site.database) != started
    statuses = [row["status"] for row in outcome["rows"] if row["phase"] == "traffic"]
    assert (outcome["status"], statuses) == ("fail", ["pass", "pass", "fail", "pass"]), outcome["evidence"]["answer"]


def test_deploy_of_another_release(site: Site) -> None:
    """The other release has the name, networks, variables and volumes of the target; then all is as before."""
    docker("exec", site.database, "sh", "-c", "echo kept >/data/file")
    serves = "cp /proc/self/environ /tmp/environment; cp /data/file /tmp/; cd /tmp; exec python3 -m http.server 5432"
    fault = {"deploy": {"target": "database", "image": images.base(), "command": ["sh", "-c", serves],
                        "environment": {"NEW": "1"}}}  # fmt: skip
    expects = [
        {"within": "10s", "http": {"target": "database", "path": "/environment", "text": {"contains": "KEPT=yes"}}},
        {"within": "10s", "http": {"target": "database", "path": "/environment", "text": {"contains": "NEW=1"}}},
        {"within": "10s", "http": {"target": "database", "path": "/file", "text": "kept\n"}},
        {"within": "10s", "command": {"run": ["docker", "network", "inspect", "-f", "{{len .Containers}}",
                                              site.networks[1]], "stdout": "1\n"}},
    ]  # fmt: skip
    outcome = site.run(fault, observe=expects)
    assert outcome["status"] == "pass", outcome["evidence"]["answer"]
    assert docker("exec", site.database, "cat", "/data/file") == "kept"


def test_deploy_of_a_release_that_does_not_start(site: Site) -> None:
    """A release that exits is a FAIL, and the reason is the last error of its log."""
    fault = {"deploy": {"target": "database", "image": images.base(), "within": "3s",
                        "command": ["sh", "-c", "echo 'ERROR: no column plays' >&2; exit 1"]}}  # fmt: skip
    outcome = site.run(fault, observe=[{"within": "1s", "http": {"target": "database", "path": "/", "status": 200}}])
    assert outcome["status"] == "fail"
    assert "ERROR: no column plays" in json.dumps(outcome["message"])


def test_deploy_of_an_image_that_does_not_exist(site: Site) -> None:
    """An image that cannot be had is an ERROR before anything is stopped."""
    started = docker("inspect", "-f", "{{.State.StartedAt}}", site.database)
    outcome = site.run({"deploy": {"target": "database", "image": "127.0.0.1:1/no/such:image"}},
                       observe=[{"within": "1s", "http": {"target": "database", "status": 200}}])  # fmt: skip
    assert outcome["status"] == "error"
    assert "no/such" in json.dumps(outcome["message"])
    assert docker("inspect", "-f", "{{.State.StartedAt}}", site.database) == started


@pytest.mark.parametrize("site", [[], ["--cpu-quota", "50000"]], ids=["unlimited", "quota"], indirect=True)
def test_starve(site: Site) -> None:
    """The kernel enforces the quota on the container while the fault is in place, and the old one afterwards."""
    asks = ["docker", "inspect", "-f", "{{.HostConfig.CpuQuota}}", site.database]
    observe = [{"within": "5s", "command": {"run": asks, "stdout": "5000\n"}}]
    outcome = site.run({"starve": {"target": "database", "cpu": "5%"}}, observe=observe)
    assert outcome["status"] == "pass", outcome["evidence"]["answer"]


@pytest.mark.parametrize(
    ("site", "why"),
    [(["--cpus", "0.5"], "--cpus"), (["--cpu-quota", "4000"], "already has only 4%")],
    ids=["cpus", "less"],
    indirect=["site"],
)
def test_starve_that_would_change_nothing(site: Site, why: str) -> None:
    """A limit that Docker does not change, and one that is lower already, are errors that say so."""
    outcome = site.run({"starve": {"target": "database", "cpu": "5%"}}, observe=[{"within": "2s", **NOTICED}])
    assert outcome["status"] == "error"
    assert why in str(outcome["evidence"]["answer"])


@pytest.mark.parametrize("site", [["--restart", "always"]], ids=["restart"], indirect=True)
@pytest.mark.parametrize("kind", ["stop", "kill"])
def test_container_that_docker_restarts_by_itself(site: Site, kind: str) -> None:
    """Docker does not restart what somebody stopped or killed through it: the fault stays in place until the revert."""
    running = ["docker", "inspect", "-f", "{{.State.Running}}", site.database]
    down = {"within": "5s", "command": {"run": running, "stdout": "false\n"}}
    outcome = site.run({kind: "database"}, observe=[down], lasts="3s")
    assert outcome["status"] == "pass", outcome["evidence"]["answer"]


@pytest.mark.parametrize(("retries", "status"), [(1, "pass"), (0, "fail")])
def test_one_of_two_replicas_is_stopped(site: Site, retries: int, status: str) -> None:
    """One of two containers with one alias is drilled by its own name; users notice if the balancer does not retry."""
    name = f"replica-{site.networks[0]}"
    replica = docker("run", "-d", "--network", site.networks[0], "--network-alias", "database", "--name", name,
                     "--stop-signal", "INT", images.base(), *SERVES)  # fmt: skip
    address = '{{(index .NetworkSettings.Networks "' + site.networks[0] + '").IPAddress}}:5432'
    backends = [docker("inspect", "-f", address, container) for container in (site.database, replica)]
    port = free_port()
    targets = {
        "replica": {"container": name, "port": 5432, "ready": {"tcp": 5432, "within": "20s"}},
        "balancer": {
            "url": f"http://127.0.0.1:{port}",
            "start": {"command": [sys.executable, str(BALANCER), str(port), str(retries), *backends]},
            "ready": {"path": "/", "within": "20s"},
        },
    }
    drill = {"steady": [{"within": "10s", "http": {"target": "balancer", "path": "/", "status": 200}}],
             "fault": {"stop": "replica"}, "lasts": "2s", "stays": "0s",
             "traffic": {"target": "balancer", "path": "/", "rate": 20, "errors": 0}}  # fmt: skip
    site.folder.write({"id": "drill", "title": "D", "requires": ["replica", "balancer"], "drill": drill}, **targets)
    _, said = site.folder.run()
    (outcome,) = site.folder.outcomes()
    assert (outcome["status"], site.folder.journals()) == (status, []), said
    assert docker("inspect", "-f", "{{.State.Running}}", replica) == "true"
