"""A job with a database container, for drills: its checklist, its run, and what it looks like from the engine."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import images
from tests.support.runner.job import Job, Service, Stage

DEPENDENT = Path(__file__).with_name("dependent.py")
SERVES = ("python3", "-u", "-m", "http.server", "5432")
DATABASE_OPTIONS = "--stop-signal INT --network-alias pg --hostname db-host"


def job(work: Path, image: str, **more: Service) -> Job:
    """Return a job with a container `database` that serves HTTP on port 5432, and others."""
    made = Job(
        work, image, services={"database": Service(images.base(), options=DATABASE_OPTIONS, command=SERVES), **more}
    )
    (made.workspace / "dependent.py").write_text(DEPENDENT.read_text())
    return made


def targets() -> dict[str, Any]:
    """Return the database, found; the API, started by the gate and provisioned with its code."""
    wait = "until [ -f /srv/dependent.py ]; do sleep 0.1; done; exec python3 /srv/dependent.py 8080"
    api = {
        "url": "http://api:8080",
        "start": {
            "image": images.base(),
            "command": ["sh", "-c", wait],
            "environment": {"DATABASE_HOST": "{database.host}", "DATABASE_PORT": "{database.port}"},
        },
        "provision": [{"copy": "dependent.py", "to": "/srv"}],
        "ready": {"path": "/readyz", "within": "30s"},
    }
    return {"database": {"container": "database", "ready": {"tcp": 5432, "within": "20s"}}, "api": api}


def checklist(items: list[dict[str, Any]], **more: Any) -> str:
    """Return a checklist with one section."""
    section = {"id": "s", "title": "S", "items": items}
    return json.dumps({"version": 1, "service": "shop", "targets": targets(), "sections": [section], **more})


def ready(status: int = 200, **more: Any) -> dict[str, Any]:
    """Return an item that expects the API to be ready, or not ready with 503."""
    return {**more, "http": {"target": "api", "path": "/readyz", "status": status}}


def drill(fault: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an item that breaks the database and watches the API."""
    made = {
        "steady": [ready(within="5s")],
        "fault": fault,
        "observe": [ready(503, within="10s")],
        "throughout": [{"http": {"target": "api", "path": "/live", "status": 200}}],
        "recover": [ready(within="20s")],
        "stays": "500ms",
        **more,
    }
    return {"id": "drill", "title": "Drill", "requires": ["api", "database"], "drill": made}


def outcome(job: Job, stage: Stage) -> dict[str, Any]:
    """Return the outcome of the first item."""
    path = job.workspace / "prodgate-out" / "report.json"
    assert path.exists(), stage.log.text
    found: dict[str, Any] = json.loads(path.read_text())["sections"][0]["items"][0]["outcome"]
    return found


@dataclass(frozen=True)
class ContainerState:
    """What an engine says of one container."""

    state: str
    places: tuple[tuple[str, tuple[str, ...]], ...]
    # In microseconds; 0 if there is none.
    cpu_quota: int = 0


def inspect(id: str) -> ContainerState:
    """Return a container's state, its names on each network, and its CPU quota."""
    found = json.loads(docker("inspect", id))[0]
    networks = found["NetworkSettings"]["Networks"]
    places = sorted((name, tuple(sorted(place["Aliases"] or []))) for name, place in networks.items())
    return ContainerState(found["State"]["Status"], tuple(places), max(0, found["HostConfig"]["CpuQuota"]))


def on_network(network: str) -> list[str]:
    """Return the names of all containers on a network, running or not."""
    return sorted(docker("ps", "-a", "--filter", f"network={network}", "--format", "{{.Names}}").split())


def networks_of_runs() -> set[str]:
    """Return the networks that runs have made and not removed."""
    return set(docker("network", "ls", "-q", "--filter", "label=prodgate.run").split())


def docker(*words: str) -> str:
    """Return the output of a Docker command. Raise an error if it fails."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.strip()
