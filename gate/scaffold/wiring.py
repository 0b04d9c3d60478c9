"""Decide which services the workflow starts for a run, and which the gate starts itself."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from msgspec import Struct, field, structs

from gate.scaffold.compose import Build, Service, built, exposed
from gate.scaffold.files import Endpoint, folder_of, is_within
from gate.scaffold.scan import ScanResult

PROMETHEUS_IMAGE = "prom/prometheus:v3.5.0"
_HOME = "/etc/prometheus"
CONFIG = f"{_HOME}/prometheus.yml"


class Prometheus(Struct, frozen=True):
    """A Prometheus that the workflow starts: files that it gets as (source, folder), and what it then has loaded."""

    service: Service
    provision: tuple[tuple[str, str], ...]
    config: str
    rules: tuple[str, ...]


class Wiring(Struct):
    """Services of the workflow and those that the gate starts, in the order in which they come up; what asks them.

    `unknown` are services whose image can't be known, `unasked` endpoints of which nobody knows how they are served.
    """

    containers: dict[str, Service] = field(default_factory=dict)
    started: dict[str, Service] = field(default_factory=dict)
    unresolved_images: list[Service] = field(default_factory=list)
    endpoints: list[tuple[Service, Endpoint]] = field(default_factory=list)
    unmapped_endpoints: list[Endpoint] = field(default_factory=list)
    prometheus: Prometheus | None = None


def wire(found: ScanResult) -> Wiring:
    """Return the wiring for a scan result."""
    made = Wiring()
    for service in found.services.values():
        if service.health and service.port and _is_ours(service):
            _ask(made, found, service, service.health)
    for endpoint in sorted(found.endpoints, key=lambda each: not each.whole):
        owner = _owning_service(found, endpoint)
        if any(
            _same(asked, endpoint) for service, asked in made.endpoints if owner is None or service.name == owner.name
        ):
            continue
        if owner is None or not endpoint.whole:
            made.unmapped_endpoints.append(endpoint)
        else:
            _ask(made, found, owner, endpoint)
    for service in found.services.values():
        if service.datastore_port and not service.build:
            _add_service(made, found, structs.replace(service, command=()))
    made.prometheus = _prometheus(found, made)
    return made


def _is_ours(service: Service) -> bool:
    """Return whether a service is the application, not a datastore or Prometheus."""
    return not service.datastore_port and not service.prometheus and bool(service.build or service.image)


def _ask(made: Wiring, found: ScanResult, service: Service, endpoint: Endpoint) -> None:
    made.endpoints.append((service, endpoint))
    _add_service(made, found, service)


def _same(asked: Endpoint, other: Endpoint) -> bool:
    """Return whether an endpoint is checked already."""
    end = other.path.strip("…/")
    return asked.path.strip("/") == end if other.whole else asked.path.rstrip("/").endswith(end)


def _owning_service(found: ScanResult, endpoint: Endpoint) -> Service | None:
    """Return the service that is built from an endpoint's code and whose port is known."""
    of_compose = [service for service in found.services.values() if service.build and service.port]
    around = [each for each in of_compose if each.build and is_within(endpoint.file, each.build.context)]
    if around:
        return max(around, key=lambda each: len(each.build.context.strip(".")) if each.build else 0)
    return next(_of_dockerfile(found, endpoint), None)


def _of_dockerfile(found: ScanResult, endpoint: Endpoint) -> Iterator[Service]:
    """Yield the service of the nearest Dockerfile above an endpoint that exposes a port."""
    folder = folder_of(endpoint.file)
    while True:
        build = built(found.files, folder, "Dockerfile")
        if found.files.has(folder, "Dockerfile") and (port := exposed(found.files, build)):
            name = "api" if folder == "." else posixpath.basename(folder)
            yield Service(re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-").lower() or "api", build=build, port=port)
        if folder == ".":
            return
        folder = folder_of(folder)


def _add_service(made: Wiring, found: ScanResult, service: Service) -> None:
    """Add a service and its dependencies, or list it as unresolved if its image is unknown."""
    known = {**made.containers, **made.started, **{each.name: each for each in made.unresolved_images}}
    if service.name in known or service.prometheus:
        return
    if not service.build and not service.image:
        made.unresolved_images.append(service)
        return
    if service.build or service.command:
        made.started[service.name] = service
    else:
        made.containers[service.name] = service
    for name in service.depends_on:
        if name in found.services:
            _add_service(made, found, found.services[name])


def _prometheus(found: ScanResult, made: Wiring) -> Prometheus | None:
    """Return the Prometheus of the Compose file with its mounts; else one for a configuration found elsewhere.

    Such a configuration loads rules that were found, or scrapes what comes up here.
    """
    given = next((each for each in found.services.values() if each.prometheus and each.image), None)
    if given:
        provision = _unique(put for mount in given.mounts if (put := _put(found, *mount)))
        config = next((name for name in found.scraping if _placed(name, provision) == CONFIG), "")
        if config:
            return Prometheus(given, provision, config, _loaded(found, config, provision))
    for config, scraping in found.scraping.items():
        folder = folder_of(config)
        provision = ((config if folder == "." else folder, _HOME),)
        rules = _loaded(found, config, provision)
        if _placed(config, provision) == CONFIG and (
            rules or any(services_behind(made, each) for _, each in scraping.jobs)
        ):
            service = Service(given.name if given else "prometheus", given.image if given else PROMETHEUS_IMAGE)
            return Prometheus(service, provision, config, rules)
    return None


def services_behind(made: Wiring, addresses: tuple[str, ...]) -> list[str]:
    """Return the services behind a job's addresses; none if an address belongs to no started service."""
    known = {f"{service.name}:{service.port}": service.name for service in made.started.values()}
    return sorted({known[each] for each in addresses}) if set(addresses) <= set(known) else []


def _unique(puts: Iterator[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys(puts))


def _put(found: ScanResult, source: str, to: str) -> tuple[str, str] | None:
    """Convert a mount into a copy to a folder of the image; return None if it would have to be renamed."""
    to = to.rstrip("/")
    is_file = source in found.files.names
    if not is_file and to == _HOME:
        return source, _HOME
    if posixpath.basename(source) != posixpath.basename(to):
        return None
    above, folder = folder_of(source), posixpath.dirname(to)
    if folder == _HOME and is_file:
        return source, _HOME
    if folder == _HOME and above != ".":
        return above, _HOME
    deeper = posixpath.dirname(folder) == _HOME and posixpath.basename(above) == posixpath.basename(folder)
    return (folder_of(above), _HOME) if is_file and deeper and folder_of(above) != "." else None


def _placed(name: str, provision: tuple[tuple[str, str], ...]) -> str:
    """Return the path of a repository's file in the container; empty if it is not there."""
    for source, to in provision:
        if name == source:
            return posixpath.join(to, posixpath.basename(name))
        if is_within(name, source):
            return posixpath.join(to, posixpath.relpath(name, source))
    return ""


def _loaded(found: ScanResult, config: str, provision: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Return the rule files that a configuration loads in the container."""
    patterns = [posixpath.normpath(posixpath.join(_HOME, each)) for each in found.scraping[config].rule_files]
    placed = {name: _placed(name, provision) for name in found.rules}
    return tuple(name for name, place in placed.items() if any(fnmatchcase(place, pattern) for pattern in patterns))


def image_tag(service: Service) -> str:
    """Return the tag of an image that the workflow builds."""
    return re.sub(r"[^a-z0-9_-]+", "-", service.name.lower()).strip("-_") + ":prodgate"


def needs_prebuild(build: Build | None) -> bool:
    """Return whether the workflow must build an image, because its Dockerfile needs BuildKit."""
    return build is not None and not build.plain
