"""Decide which services the workflow starts for a run, and which the gate starts itself."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from msgspec import Struct, field, structs

from gate.scaffold.files import folder_of, is_within
from gate.scaffold.model import Build, Endpoint, Service, Workload, store_of_image
from gate.scaffold.proposals.compose import ComposeProject
from gate.scaffold.proposals.credentials import agree, uses
from gate.scaffold.readers.dockerfiles import exposed, path_of
from gate.scaffold.readers.images import is_foreign
from gate.scaffold.readers.kubernetes import Monitor
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


class Alertmanager(Struct, frozen=True):
    """An Alertmanager that the workflow starts, and production's configuration."""

    service: Service
    config: str


class Wiring(Struct):
    """Services of the workflow and those that the gate starts, in the order in which they come up.

    With `compose`, the services of that project are among them: Compose starts them.

    `unresolved_images` are services whose image is unknown. `unmapped_endpoints` belong to no service that is known.
    `releases` are services whose released image nothing here builds.
    """

    containers: dict[str, Service] = field(default_factory=dict)
    started: dict[str, Service] = field(default_factory=dict)
    unresolved_images: list[Service] = field(default_factory=list)
    releases: list[Service] = field(default_factory=list)
    endpoints: list[tuple[Service, Endpoint]] = field(default_factory=list)
    unmapped_endpoints: list[Endpoint] = field(default_factory=list)
    unmapped_probes: list[Workload] = field(default_factory=list)
    prometheus: Prometheus | None = None
    alertmanager: Alertmanager | None = None
    compose: ComposeProject | None = None

    @property
    def stores(self) -> list[Service]:
        """Return the databases, caches and brokers that are targets."""
        return [service for service in [*self.containers.values(), *self.started.values()] if service.store]

    def paths_of(self, service: Service) -> list[Endpoint]:
        """Return the endpoints of a service."""
        return [endpoint for owner, endpoint in self.endpoints if owner.name == service.name]


def wire(found: ScanResult, compose: ComposeProject | None = None) -> Wiring:
    """Return the wiring for a scan result. With `compose`, the services of that project are targets as they are."""
    wiring = Wiring(compose=compose)
    services = agree(found.files, _candidates(found))
    composed = compose.services if compose else frozenset[str]()
    services = {name: structs.replace(service, composed=name in composed) for name, service in services.items()}
    services = {name: _with_uses(service, services) for name, service in services.items()}
    for service in services.values():
        if service.build and service.health and service.port:
            _add_endpoint(wiring, services, service, service.health)
    for workload in found.manifests.workloads:
        _add_probes(wiring, services, found, workload)
    # Of the paths of one handler, the first counts: the name that Kubernetes made usual comes first.
    for endpoint in sorted(found.endpoints, key=lambda endpoint: (not endpoint.whole, not endpoint.path.endswith("z"))):
        owner = _owning_service({**services, **dict(_owners(wiring))}, found, endpoint)
        if owner is None or not endpoint.whole:
            if not any(_same(known, endpoint) for _, known in wiring.endpoints):
                wiring.unmapped_endpoints.append(endpoint)
        elif not any(_same(known, endpoint) or _same_handler(known, endpoint) for known in wiring.paths_of(owner)):
            _add_endpoint(wiring, services, owner, endpoint)
        else:
            _take_handler(wiring, owner, endpoint)
    for monitor in found.manifests.monitors:
        _add_monitor(wiring, monitor)
    for service in services.values():
        if service.store or (service.build and service.port and service.published and not service.once):
            _add_service(wiring, services, service)
        if _is_release(service):
            wiring.releases.append(service)
    wiring.prometheus = _prometheus(found, wiring, services)
    wiring.alertmanager = _alertmanager(found, wiring)
    return wiring


def _candidates(found: ScanResult) -> list[Service]:
    """Return the services of the Compose project, and what it lacks.

    Without an application or a database, those of the manifests count, then the databases that tests of a workflow use.
    """
    services = list(found.services.values())
    deployed = {workload.name: _deployed(found, workload) for workload in reversed(found.manifests.workloads)}
    others = [service for name, service in deployed.items() if service and name not in found.services]
    if not any(service.build and not service.store for service in services):
        services += [service for service in others if not service.store]
    if not any(service.store for service in services):
        services += [service for service in others if service.store]
    if not any(service.store for service in services):
        of_tests = [service for suite in found.suites.proposed for service in suite.services if service.store]
        services += {service.name: service for service in of_tests if service.name not in found.services}.values()
    return services


def _deployed(found: ScanResult, workload: Workload) -> Service | None:
    """Return the database that a workload runs, or the application whose image a Dockerfile here builds."""
    build = _build_of(found, workload)
    image = "" if build else workload.image
    port = workload.port or (exposed(found.files, build) if build else None)
    name = host_name(workload.name)
    service = Service(name, image, build=build, port=port, environment=workload.environment, file=workload.file)
    return service if service.store or (build and port) else None


def _is_release(service: Service) -> bool:
    """Return whether a service runs an image that is somebody's release and may be of this repository."""
    other = service.store or service.is_prometheus or service.is_alertmanager or is_foreign(service)
    return bool(service.image and not service.build and not other)


def _with_uses(service: Service, services: dict[str, Service]) -> Service:
    """Return a service that also depends on what its environment names, except other applications.

    Two applications may name each other: then neither could come first.
    """
    others = [other for other in services.values() if other.name != service.name and (other.store or not other.build)]
    named = [other.name for other in others if uses(service, other)] if service.build else []
    return structs.replace(service, depends_on=tuple(dict.fromkeys([*service.depends_on, *named])))


def _owners(wiring: Wiring) -> Iterator[tuple[str, Service]]:
    """Yield the services that have an endpoint already, also those of manifests."""
    yield from ((service.name, service) for service, _ in wiring.endpoints)


def _add_endpoint(wiring: Wiring, services: dict[str, Service], service: Service, endpoint: Endpoint) -> None:
    wiring.endpoints.append((service, endpoint))
    _add_service(wiring, services, service)


def _take_handler(wiring: Wiring, owner: Service, endpoint: Endpoint) -> None:
    """Add to an endpoint that a probe or a health check named where the code serves it."""
    for number, (service, known) in enumerate(wiring.endpoints):
        if service.name == owner.name and _same(known, endpoint) and not known.handler and known.role:
            code = structs.replace(known, file=endpoint.file, line=endpoint.line, handler=endpoint.handler)
            wiring.endpoints[number] = (service, code)


def _same(asked: Endpoint, other: Endpoint) -> bool:
    """Return whether an endpoint is checked already."""
    end = other.path.strip("…/")
    return asked.path.strip("/") == end if other.whole else asked.path.rstrip("/").endswith(end)


def _same_handler(known: Endpoint, other: Endpoint) -> bool:
    return bool(other.handler) and (known.handler, known.file) == (other.handler, other.file)


def _add_probes(wiring: Wiring, services: dict[str, Service], found: ScanResult, workload: Workload) -> None:
    """Add the probes of a workload to the service that builds its image."""
    probes = [probe for probe in workload.probes if probe.path]
    if not probes:
        return
    owner = _service_of_workload(services, found, workload)
    if owner is None:
        wiring.unmapped_probes.append(workload)
        return
    for probe in sorted(probes, key=lambda probe: probe.role == "health"):
        endpoint = Endpoint(probe.path, workload.file, probe.line, probe.role, notices_after=probe.notices_after)
        if not any(known.path == probe.path for known in wiring.paths_of(owner)):
            _add_endpoint(wiring, services, owner, endpoint)


def _add_monitor(wiring: Wiring, monitor: Monitor) -> None:
    """Add the metrics of a monitor to the service with its name, or to the only one."""
    owners = {service.name: service for service, _ in wiring.endpoints}
    owner = owners.get(monitor.name) or (next(iter(owners.values())) if len(owners) == 1 else None)
    path = monitor.endpoint.path
    if owner and not any(endpoint.path == path or endpoint.is_metrics for endpoint in wiring.paths_of(owner)):
        wiring.endpoints.append((owner, monitor.endpoint))


def _service_of_workload(services: dict[str, Service], found: ScanResult, workload: Workload) -> Service | None:
    """Return the service with a workload's name or image, else the one with the same Dockerfile."""
    names = {workload.name, host_name(workload.name), workload.image_name} - {""}
    build = _build_of(found, workload)
    applications = [service for service in services.values() if service.build and service.port]
    named = [service for service in applications if service.name in names]
    return next(iter([*named, *(service for service in applications if service.build == build)]), None)


def _build_of(found: ScanResult, workload: Workload) -> Build | None:
    """Return the build of a workload's image: in a folder with its name, around its manifest, or the only one."""
    names = {workload.name, workload.image_name} - {""}
    for build in found.builds:
        if posixpath.basename(folder_of(path_of(build))) in names:
            return build
    around = [build for build in found.builds if build.context != "." and is_within(workload.file, build.context)]
    if around:
        return around[0]
    other = "/" in workload.image and workload.image_name != workload.name
    foreign = other or is_foreign(Service(workload.name, workload.image)) or store_of_image(workload.image)
    return found.builds[0] if len(found.builds) == 1 and not foreign else None


def _owning_service(services: dict[str, Service], found: ScanResult, endpoint: Endpoint) -> Service | None:
    """Return the service that is built from an endpoint's code and whose port is known.

    Of several, the one with the nearest Dockerfile, then the nearest context; then the one with a health check.
    """
    around = [
        service
        for service in services.values()
        if service.build and service.port and not service.once and is_within(endpoint.file, service.build.context)
    ]

    def rank(service: Service) -> tuple[int, int, bool, bool]:
        build = service.build
        assert build is not None
        folder = folder_of(path_of(build))
        near = len(folder.strip(".")) if is_within(endpoint.file, folder) else 0
        return near, len(build.context.strip(".")), service.health is not None, bool(service.published)

    return max(around, key=rank) if around else _of_dockerfile(found, endpoint)


def _of_dockerfile(found: ScanResult, endpoint: Endpoint) -> Service | None:
    """Return the service of the nearest Dockerfile around an endpoint that exposes a port."""
    around = [build for build in found.builds if is_within(endpoint.file, build.context)]
    around.sort(key=lambda build: -len(build.context.strip(".")))
    return next((_of_build(build, port) for build in around if (port := exposed(found.files, build))), None)


def _of_build(build: Build, port: int) -> Service:
    folder = folder_of(path_of(build)) if build.context == "." else build.context
    generic = folder == "." or re.search(
        r"(?:^|/)(?:docker|build|packag\w*|deploy\w*|alpine|distroless)(?:/|$)", folder
    )
    name = "api" if generic else posixpath.basename(folder)
    return Service(host_name(name), build=build, port=port)


def host_name(name: str) -> str:
    """Return a name that a service, a container and a host may have."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-").lower() or "api"


def _add_service(wiring: Wiring, services: dict[str, Service], service: Service) -> None:
    """Add a service and its dependencies, or list it as unresolved if its image is unknown."""
    unresolved = {service.name: service for service in wiring.unresolved_images}
    if service.name in {**wiring.containers, **wiring.started, **unresolved} or service.is_prometheus:
        return
    if not service.build and not service.image and not service.composed:
        wiring.unresolved_images.append(service)
        return
    if service.build or service.command:
        wiring.started[service.name] = service
    else:
        wiring.containers[service.name] = service
    for name in service.depends_on:
        if name in services:
            _add_service(wiring, services, services[name])


def _prometheus(found: ScanResult, wiring: Wiring, services: dict[str, Service]) -> Prometheus | None:
    """Return the Prometheus of the Compose file with its mounts; else one for a configuration found elsewhere.

    Such a configuration loads rules that were found, or scrapes what comes up here.
    """
    given = next((service for service in services.values() if service.is_prometheus and service.image), None)
    if given:
        provision = _unique(put for mount in given.mounts if (put := _put(found, *mount)))
        config = next((name for name in found.scraping if _placed(name, provision) == CONFIG), "")
        if config:
            _add_scraped(wiring, services, found, config)
            return Prometheus(given, provision, config, _loaded(found, config, provision))
    if wiring.compose and not wiring.compose.job_network:
        # A Prometheus that the runner starts does not reach the networks of a Compose project.
        return None
    for config, scraping in found.scraping.items():
        folder = folder_of(config)
        provision = ((config if folder == "." else folder, _HOME),)
        rules = _loaded(found, config, provision)
        if _placed(config, provision) == CONFIG and (
            rules or any(services_behind(wiring, job.addresses) for job in scraping.jobs)
        ):
            service = Service(given.name if given else "prometheus", given.image if given else PROMETHEUS_IMAGE)
            _add_scraped(wiring, services, found, config)
            return Prometheus(service, provision, config, rules)
    return None


def _add_scraped(wiring: Wiring, services: dict[str, Service], found: ScanResult, config: str) -> None:
    """Add the exporters that a configuration scrapes, and its Alertmanagers."""
    scraping = found.scraping[config]
    addresses = [address for job in scraping.jobs for address in job.addresses] + list(scraping.alertmanagers)
    for address in addresses:
        service = services.get(address.split(":")[0])
        if service and service.is_alertmanager:
            # The gate gives it a configuration where its image looks for one.
            service = structs.replace(service, command=())
        if service and ("exporter" in service.image_name or service.is_alertmanager):
            _add_service(wiring, services, structs.replace(service, port=_port_of(address) or service.port))


def _alertmanager(found: ScanResult, wiring: Wiring) -> Alertmanager | None:
    """Return the Alertmanager to which the Prometheus sends, if its configuration is part of the commit.

    One of a Compose project has its configuration mounted from the checkout: the gate must not write it.
    """
    if wiring.prometheus is None:
        return None
    addresses = {address.split(":")[0] for address in found.scraping[wiring.prometheus.config].alertmanagers}
    managers = [service for name, service in wiring.containers.items() if name in addresses]
    for service in managers:
        for config in found.alertmanagers:
            if (
                service.is_alertmanager
                and not service.composed
                and any(is_within(config, source) for source, _ in service.mounts)
            ):
                return Alertmanager(service, config)
    return None


def _port_of(address: str) -> int | None:
    port = address.rpartition(":")[2]
    return int(port) if port.isdecimal() and 0 < int(port) < 65536 else None


def services_behind(wiring: Wiring, addresses: tuple[str, ...]) -> list[str]:
    """Return the services behind a job's addresses; none if an address belongs to no service that comes up."""
    every = {**wiring.started, **wiring.containers}
    known = {f"{service.name}:{service.port}": service.name for service in every.values()}
    return sorted({known[address] for address in addresses}) if set(addresses) <= set(known) else []


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
    patterns = [posixpath.normpath(posixpath.join(_HOME, file)) for file in found.scraping[config].rule_files]
    placed = {name: _placed(name, provision) for name in found.rules}
    return tuple(name for name, place in placed.items() if any(fnmatchcase(place, pattern) for pattern in patterns))


def image_tag(service: Service) -> str:
    """Return the tag of an image that the workflow builds."""
    return re.sub(r"[^a-z0-9_-]+", "-", service.name.lower()).strip("-_") + ":prodgate"


def needs_prebuild(service: Service) -> bool:
    """Return whether a step of the workflow must build an image, because its Dockerfile needs BuildKit."""
    return service.build is not None and not service.build.plain and not service.composed
