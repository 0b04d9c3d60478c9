"""A Compose project for drills, brought up by the real Compose of Debian's next release."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support import engine, images
from tests.support.paths import ROOT
from tests.support.staging import DEPENDENT, SERVES, ContainerState, docker, inspect

PROGRAMS = ROOT / ".cache/prometheus/forky/bin"


def fetch() -> Path:
    """Return the folder with `docker-compose` and `docker`, after fetching them unless they are there."""
    if not (PROGRAMS / "docker-compose").exists():
        with engine.locked("releases"):
            subprocess.run([ROOT / "tests/support/prometheus-releases.sh"], check=True, capture_output=True)
    return PROGRAMS


class Project:
    """A Compose project in a folder, with a name of its own. Use it with `with`: nothing of it is left at the end."""

    def __init__(self, folder: Path, *, replicas: int = 1, **services: dict[str, Any]) -> None:
        self.name = f"shop-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dependent.py").write_text(DEPENDENT.read_text())
        self.services = {**shop(folder, replicas), **services}
        self.write()

    def write(self) -> None:
        """Write the Compose file."""
        document = {"name": self.name, "services": self.services, "networks": {"back": {}}, "volumes": {"data": {}}}
        (self.folder / "compose.yml").write_text(json.dumps(document))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "1")
        for volume in self.left().get("volume", []):
            docker("volume", "rm", volume)

    def compose(self, *words: str) -> str:
        """Return what a command of Compose prints. Raise an error if it fails."""
        command = [str(fetch() / "docker-compose"), *words]
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False, env=environment())  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    def up(self) -> Self:
        """Bring the project up, and return it."""
        self.compose("up", "--detach", "--wait")
        return self

    def containers(self) -> list[str]:
        """Return the ids of its containers, running or not, without one-off ones."""
        filters = ("label=com.docker.compose.oneoff=False", f"label=com.docker.compose.project={self.name}")
        words = [word for entry in filters for word in ("--filter", entry)]
        return sorted(docker("ps", "-aq", "--no-trunc", *words).split())

    def state(self) -> tuple[list[tuple[str, ContainerState]], list[list[str]]]:
        """Return its containers as the engine sees them, and all that is on its networks."""
        networks = docker("network", "ls", "-q", "--filter", f"label=com.docker.compose.project={self.name}").split()
        on_networks = [sorted(json.loads(docker("network", "inspect", id))[0]["Containers"]) for id in networks]
        return [(id, inspect(id)) for id in self.containers()], sorted(on_networks)

    def left(self) -> dict[str, list[str]]:
        """Return what is left of it, by kind."""
        label = ("-q", "--filter", f"label=com.docker.compose.project={self.name}")
        found = {kind: docker(*words, *label).split()
                 for kind, words in {"container": ("ps", "-a"), "network": ("network", "ls"),
                                     "volume": ("volume", "ls")}.items()}  # fmt: skip
        return {kind: ids for kind, ids in found.items() if ids}


def environment() -> dict[str, str]:
    """Return an environment in which the real Compose is found first, and no project is named."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    return {**kept, "PATH": f"{fetch()}:{os.environ['PATH']}"}


def serving(**more: Any) -> dict[str, Any]:
    """Return a service that serves HTTP on port 5432."""
    return {"image": images.base(), "command": list(SERVES), "stop_signal": "SIGINT", **more}


def shop(folder: Path, replicas: int) -> dict[str, dict[str, Any]]:
    """Return a database on two networks, a migration that ends, and an API."""
    # Files come with the image or a mount; a mount is resolved on the engine's machine, which is this one.
    api = {
        "image": images.base(),
        "command": ["python3", "/srv/dependent.py", "8080"],
        "environment": {"DATABASE_HOST": "db"},
        "volumes": [f"{folder / 'dependent.py'}:/srv/dependent.py:ro"],
        "depends_on": {"migrate": {"condition": "service_completed_successfully"}},
        "init": True,
    }
    probe = "import socket; socket.create_connection(('127.0.0.1', 5432))"
    db = serving(
        restart="always",
        networks={"back": {}, "default": {"aliases": ["pg"]}},
        volumes=["data:/data"],
        deploy={"replicas": replicas},
        healthcheck={"test": ["CMD", "python3", "-c", probe], "interval": "1s", "retries": 30},
    )
    migrate = {
        "image": images.base(),
        "command": ["sh", "-c", "echo migrated"],
        "networks": ["back"],
        "depends_on": {"db": {"condition": "service_healthy"}},
    }
    return {"db": db, "migrate": migrate, "api": api}


def targets() -> dict[str, Any]:
    """Return the targets of the project."""
    return {
        "db": {"service": "db", "port": 5432},
        "migrate": {"service": "migrate", "once": True},
        "api": {
            "service": "api",
            "url": "http://api:8080",
            "after": ["migrate"],
            "ready": {"path": "/readyz", "within": "60s"},
        },
    }
