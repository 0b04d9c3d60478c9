"""Find the services of a Compose project by its labels, and bring the project up if it is not.

https://docs.docker.com/compose/how-tos/project-name/
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from gate.core.messages import msg
from gate.redaction.secrets import redacted_head
from gate.runtime.processes import run
from gate.staging.container import Container, names_on_network
from gate.staging.docker_client import (
    BUILTIN_NETWORKS,
    ENGINE_SETTLE_TIMEOUT,
    ONE_OFF_LABEL,
    PROJECT_LABEL,
    REPLICA_LABEL,
    RUN_LABEL,
    SERVICE_LABEL,
    docker_client,
    gate_networks,
)
from gate.staging.env_file import read_env_file
from gate.staging.errors import StagingError
from gate.staging.journal import Journal
from gate.staging.spec import ComposeProject
from gate.staging.user_commands import describe_failure, start_command

_PROJECT_VARIABLE = "COMPOSE_PROJECT_NAME"
# The names under which Compose looks for its file, and for the one that overrides it.
_DEFAULT_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_MAX_FILE_SIZE = 2**20
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?:(:?-)([^}]*))?\}|([A-Za-z_]\w*))")
_PROBE_TIMEOUT = 20.0
# Pulling and building have no time limit; the run's deadline ends them.
_NO_TIMEOUT = float("inf")


class Project:
    """The Compose project of a run, with the services that its targets name."""

    def __init__(self, spec: ComposeProject, services: Iterable[str], root: Path) -> None:
        self.spec = spec
        self.services = sorted(set(services))
        self.root = root

    @cached_property
    def name(self) -> str:
        """Return the project's name. Raise StagingError if it is not known."""
        return self.spec.project or self.configured_name() or self._only_project()

    def prepare(
        self, journal: Callable[[], Journal], cancelled: threading.Event, log_progress: Callable[[str], None]
    ) -> list[str]:
        """Bring the project up if it is not. Return the networks of the services.

        Raise StagingError if the project is not up and cannot be brought up.
        """
        rows = self._rows()
        if not any(row["State"] in ("running", "paused", "restarting") for row in rows):
            self._bring_up(rows, journal(), cancelled, log_progress)
            rows = self._rows()
        used = [row for row in rows if row["Labels"].get(SERVICE_LABEL) in self.services]
        return sorted({network for row in used for network in row["NetworkSettings"]["Networks"]})

    def find(self, service: str, replica: int | None) -> tuple[list[Container], list[Container]]:
        """Return the containers of a service, one of them if `replica` is given, and all of them.

        Raise StagingError if there is none.
        """
        rows = self._rows()
        ids = {int(row["Labels"].get(REPLICA_LABEL) or 1): row["Id"]
               for row in rows if row["Labels"].get(SERVICE_LABEL) == service}  # fmt: skip
        if not ids:
            raise self._unknown_service(service, rows)
        if replica is not None and replica not in ids:
            raise StagingError(msg("the service {service} has no replica {number}, only {numbers}", service=service,
                                   number=replica, numbers=", ".join(map(str, sorted(ids)))))  # fmt: skip
        handles = {number: docker_client().containers.get(ids[number]) for number in sorted(ids)}
        unique = not _other_owners(service, handles.values())
        containers = {number: Container(handle, service, _shared_network(handle), alias_is_unique=unique)
                      for number, handle in handles.items()}  # fmt: skip
        everything = list(containers.values())
        if replica is None:
            return everything, everything
        # Its own name and address lead to this replica only.
        one = Container(handles[replica], str(handles[replica].name), containers[replica].network)
        return [one], everything

    def _rows(self) -> list[dict[str, Any]]:
        """Return the containers of the project, in the form of Docker's list, without one-off ones."""
        return _list(f"{PROJECT_LABEL}={self.name}")

    def _unknown_service(self, service: str, rows: list[dict[str, Any]]) -> StagingError:
        names = sorted({row["Labels"][SERVICE_LABEL] for row in rows if SERVICE_LABEL in row["Labels"]})
        return StagingError(
            msg("the Compose project {project} has no container of a service {service}; it has {services}",
                project=self.name, service=service, services=", ".join(names) or "-"),
            advice=msg("Correct `service`; if the service belongs to a profile, activate it with COMPOSE_PROFILES or "
                       "`--profile`"),
        )  # fmt: skip

    def _files(self) -> list[Path]:
        if self.spec.file:
            return [self.root / name for name in self.spec.file]
        return [path for name in _DEFAULT_FILES if (path := self.root / name).is_file()][:1]

    def configured_name(self) -> str | None:
        """Return the name in the environment, in `.env` or in the files, by Compose's precedence."""
        files = self._files()
        folder = files[0].parent if files else self.root
        variables = {**read_env_file(folder / ".env", required=False), **os.environ}
        names = [_top_level_name(path, variables) for path in reversed(files)]
        return variables.get(_PROJECT_VARIABLE) or next((name for name in names if name), None)

    def _only_project(self) -> str:
        """Return the only project that has the services; if no project has, the name that Compose would choose."""
        projects = [{str(row["Labels"].get(PROJECT_LABEL, "")) for row in _list(f"{SERVICE_LABEL}={service}")}
                    for service in self.services]  # fmt: skip
        common: set[str] = set.intersection(*projects) - {""} if projects else set()
        if len(common) > 1:
            raise StagingError(
                msg("several Compose projects have the services {services}: {projects}",
                    services=", ".join(self.services), projects=", ".join(sorted(common))),
                advice=msg("Name one of them: `compose: {form}`", form="{project: NAME}"),
            )  # fmt: skip
        if common:
            return common.pop()
        files = self._files()
        folder = (files[0].parent if files else self.root).resolve().name
        return re.sub(r"[^a-z0-9_-]", "", folder.lower()).lstrip("_-") or "default"

    def _bring_up(
        self,
        rows: list[dict[str, Any]],
        journal: Journal,
        cancelled: threading.Event,
        log_progress: Callable[[str], None],
    ) -> None:
        """Run `docker compose up`. Raise StagingError if that is not possible, or fails."""
        arguments = ["-p", self.name, *(word for name in self.spec.file for word in ("-f", name))]
        # Attached networks and dependencies are Compose's business: everything in the default profiles is started.
        arguments += ["up", "--detach"]
        advice = msg("Bring it up in an earlier step: `{command}`",
                     command=shlex.join(["docker", "compose", *arguments, "--wait"]))  # fmt: skip
        if rows:
            # Taking it down afterwards would remove what somebody has stopped and wants to keep.
            names = ", ".join(sorted(row["Names"][0].lstrip("/") for row in rows))
            raise StagingError(msg("the Compose project {project} is stopped: {names}",
                                   project=self.name, names=names), advice=advice)  # fmt: skip
        if not self._files():
            raise StagingError(self._not_up(), advice=advice)
        command = _compose_command(self.root)
        if command is None:
            raise StagingError(self._not_up(), advice=advice)
        label = {"label": f"{PROJECT_LABEL}={self.name}"}
        volumes = [str(volume.name) for volume in docker_client().volumes.list(filters=label)]
        action = journal.record_intent(
            "take_down_project", settle_timeout=ENGINE_SETTLE_TIMEOUT, project=self.name, volumes=volumes
        )
        log_progress(f"bringing the Compose project {self.name} up")
        try:
            completed = start_command(
                [*command, *arguments],
                root=self.root,
                timeout=_NO_TIMEOUT,
                on_group_created=journal.record_process,
                cancelled=cancelled,
            ).wait()
        except OSError as error:
            raise StagingError(msg("`{command}` cannot be run: {why}", command=command[0], why=str(error))) from error
        failure = describe_failure(shlex.join([*command, "up"]), completed)
        if failure is not None:
            raise StagingError(
                msg("the Compose project {project} did not come up: {why}", project=self.name, why=failure)
            )
        journal.record_done(action)

    def _not_up(self) -> Any:
        others = sorted({row["Labels"][PROJECT_LABEL] for row in _list(PROJECT_LABEL) if row["State"] == "running"})
        return msg("the Compose project {project} is not up; running projects: {projects}",
                   project=self.name, projects=", ".join(others) or "-")  # fmt: skip


def _list(*labels: str) -> list[dict[str, Any]]:
    """Return the containers with all labels, in the form of Docker's list, without one-off ones and those of a run."""
    filters = {"label": [*labels, f"{ONE_OFF_LABEL}=False"]}
    rows: list[dict[str, Any]] = docker_client().api.containers(all=True, filters=filters)
    return [row for row in rows if RUN_LABEL not in row["Labels"]]


def _shared_network(handle: Any) -> str | None:
    """Return a network of a container that the gate can reach, else any."""
    names = sorted(handle.attrs["NetworkSettings"]["Networks"], key=lambda name: name in BUILTIN_NETWORKS)
    reachable = gate_networks()
    shared = [name for name in names if reachable is None or name in reachable]
    return next(iter(shared or names), None)


def _other_owners(alias: str, handles: Iterable[Any]) -> list[str]:
    """Return the names of other containers with a service's name on a network of the gate."""
    own = {handle.id for handle in handles}
    networks = [name for name in gate_networks() or () if name not in BUILTIN_NETWORKS]
    return sorted(
        str(other.name)
        for network in networks
        for other in docker_client().containers.list(filters={"network": network}, ignore_removed=True)
        if other.id not in own and RUN_LABEL not in other.labels and alias in names_on_network(other, network)
    )


def _compose_command(root: Path) -> list[str] | None:
    """Return the command of Compose: the plugin of `docker`, else `docker-compose`; None if neither is here."""
    import time

    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            deadline = time.monotonic() + _PROBE_TIMEOUT
            version = run([*command, "version"], deadline=deadline, cwd=root, env=dict(os.environ))
            if version.end_reason == "exit" and version.returncode == 0:
                return command
    return None


def _top_level_name(path: Path, variables: Any) -> str | None:
    """Return the `name` of a Compose file, with its variables; None if it has none or cannot be read."""
    import yaml

    try:
        text = path.read_bytes()[: _MAX_FILE_SIZE + 1].decode("utf-8-sig")
        # Composed, not loaded: tags such as `!reset` are Compose's own.
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return None
    pairs: Sequence[Any] = document.value if isinstance(document, yaml.MappingNode) else ()
    name = next((value.value for key, value in pairs if key.value == "name" and isinstance(value.value, str)), "")

    def fill(match: re.Match[str]) -> str:
        value = variables.get(match[1] or match[4])
        return match[3] or "" if value is None or (match[2] == ":-" and not value) else str(value)

    return redacted_head(_VARIABLE.sub(fill, name), 200) or None
