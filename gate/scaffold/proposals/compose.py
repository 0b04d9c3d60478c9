"""Propose the Compose project as it is: its services are targets, and a step of the workflow brings it up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from gate.scaffold.files import folder_of, get_str
from gate.scaffold.model import INVENTED
from gate.scaffold.readers.compose import FREE_VALUE
from gate.scaffold.readers.compose_files import Definition, as_mapping
from gate.scaffold.readers.env_files import parse, source_of_env_file
from gate.scaffold.scan import ScanResult

#: The override that `prodgate init` writes, beside the checklist.
OVERRIDE = "compose.prodgate.yml"
#: The variable of the override that names the job's network.
NETWORK_VARIABLE = "JOB_NETWORK"
#: A variable and its operator. In braces, a default may have variables, too: the innermost come first.
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::?([-?+])[^${}]*)?\}|([A-Za-z_]\w*))")
_DEPTH = 20


class ComposeProject(Struct, frozen=True):
    """The project, and what a checkout lacks to bring it up.

    `files` are those that Compose is given. `copies` are examples and the env files that git does not track.
    `invented` are variables that get a made-up value, `missing` those that nothing here has a value for.
    `occupied` are services that publish a port of the job's services. With `job_network`, the project's default
    network is the job's.
    """

    files: tuple[str, ...]
    services: frozenset[str]
    copies: tuple[tuple[str, str], ...]
    invented: tuple[str, ...]
    missing: tuple[str, ...]
    occupied: tuple[str, ...]
    job_network: bool = False

    @property
    def environment(self) -> tuple[tuple[str, str], ...]:
        """Return the variables that the steps of the workflow give to Compose."""
        network = ((NETWORK_VARIABLE, "${{ job.container.network }}"),) if self.job_network else ()
        return (*((name, INVENTED) for name in self.invented), *network)


def propose_project(found: ScanResult, *, job_network: bool = False) -> ComposeProject | None:
    """Return the first Compose project of a scan result; None if there is none."""
    project = found.project
    if project is None:
        return None
    copies = dict(_copies(found))
    known = _known(found)
    unset = [name for name in dict.fromkeys(_variables(found)) if name not in known]
    invented = tuple(name for name in unset if FREE_VALUE.search(name))
    of_tests = {
        host_port(port) for suite in found.suites.proposed for service in suite.services for port in service.published
    }
    occupied = tuple(
        name
        for name, service in found.services.items()
        if name in project.services and of_tests & set(map(host_port, service.published))
    )
    below = "" if found.files.folder == "." else f"{found.files.folder}/"
    return ComposeProject(
        (*project.given, *([below + OVERRIDE] if occupied or job_network else [])),
        frozenset(project.services.keys() & found.services.keys()),
        tuple(copies.items()),
        invented,
        tuple(name for name in unset if name not in invented),
        occupied,
        job_network,
    )


def host_port(published: str) -> str:
    """Return the port of the machine, of a port as Compose and workflows publish it."""
    return published.rpartition(":")[0].rpartition(":")[2] or published.partition("/")[0]


def _started(found: ScanResult) -> list[Definition]:
    """Return the services that `docker compose up` starts, as the files define them."""
    services = found.project.services if found.project else {}
    return [definition for name, definition in services.items() if name in found.services]


def _copies(found: ScanResult) -> Iterator[tuple[str, str]]:
    """Yield the committed example and the path of each env file that the project reads and git does not track."""
    assert found.project
    named = [(folder_of(found.project.files[0]), ".env")]
    for definition in _started(found):
        given = definition.data.get("env_file")
        entries = given if isinstance(given, list) else [given]
        paths = [get_str(entry, "path") if isinstance(entry, dict) else entry for entry in entries]
        named += [(definition.folder, path) for path in paths if isinstance(path, str) and path]
    for folder, name in named:
        path, source = source_of_env_file(found.files, folder, name)
        if source and source != path:
            yield path, source


def _known(found: ScanResult) -> dict[str, str]:
    assert found.project
    _, source = source_of_env_file(found.files, folder_of(found.project.files[0]), ".env")
    return parse(found.files.text(source)) if source else {}


def _variables(found: ScanResult) -> Iterator[str]:
    """Yield the variables without a default that Compose replaces in the services."""
    for definition in _started(found):
        yield from (name for name, value in as_mapping(definition.data.get("environment")).items() if value is None)
        for text in _texts(definition.data, 0):
            yield from _without_default(text.replace("$$", ""))


def _without_default(text: str) -> Iterator[str]:
    for _ in range(_DEPTH):
        yield from (braced or plain for braced, operator, plain in _VARIABLE.findall(text) if operator in ("", "?"))
        if text == (text := _VARIABLE.sub("", text)):
            return


def _texts(value: Any, depth: int) -> Iterator[str]:
    if depth > _DEPTH:  # an anchor that contains itself never ends
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner, depth + 1)
