"""Define what the readers return: services, endpoints, builds, probes."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

#: What stands for a password, a user or a database whose name the repository does not say.
INVENTED = "prodgate"
Kind = Literal[
    "postgres",
    "mysql",
    "mssql",
    "mongo",
    "database",
    "redis",
    "memcached",
    "rabbitmq",
    "nats",
    "kafka",
    "elasticsearch",
]
Role = Literal["", "live", "ready", "health"]
DATABASES = ("postgres", "mysql", "mssql", "mongo", "database")
CACHES = ("redis", "memcached")
_STORES: tuple[tuple[str, Kind, int], ...] = (
    (r"(?:cloudnative-)?postg(?:res|is).*|timescaledb.*|pgvector", "postgres", 5432),
    (r"cockroach.*", "postgres", 26257),
    (r"mysql.*|mariadb.*|percona.*", "mysql", 3306),
    (r"mssql.*|azure-sql-edge", "mssql", 1433),
    (r"mongo(?:db.*)?", "mongo", 27017),
    (r"redis.*|valkey.*|keydb|dragonfly", "redis", 6379),
    (r"memcached", "memcached", 11211),
    (r"rabbitmq.*", "rabbitmq", 5672),
    (r"nats(?:-streaming)?", "nats", 4222),
    (r"kafka.*|cp-kafka|redpanda", "kafka", 9092),
    (r"elasticsearch|opensearch", "elasticsearch", 9200),
    (r"clickhouse.*", "database", 8123),
    (r"cassandra|scylla", "database", 9042),
    (r"influxdb", "database", 8086),
    (r"neo4j", "database", 7687),
    (r"couchdb", "database", 5984),
)


def store_of_image(image: str) -> tuple[Kind, int] | None:
    """Return the kind and the port of a known database, cache or broker, by its image."""
    name = image.split("@")[0].rsplit("/", 1)[-1].split(":")[0]
    if "mssql/" in image:
        name = "mssql"
    if re.search(r"exporter|admin|express|commander|insight|backup|operator|gui|-ui", name):
        return None
    return next(((kind, port) for pattern, kind, port in _STORES if re.fullmatch(pattern, name)), None)


class Endpoint(Struct, frozen=True):
    """A path that a service serves, and its location.

    A path that begins with `…` has an unknown prefix. `handler` names the function that serves it. `role` is what a
    probe uses it for. `notices_after` is how many seconds a probe needs to notice that it fails; 0 if there is none.
    """

    path: str
    file: str
    line: int
    role: Role = ""
    handler: str = ""
    notices_after: int = 0

    @property
    def whole(self) -> bool:
        """Return whether the whole path is known, not only its end."""
        return not self.path.startswith("…")

    @property
    def is_metrics(self) -> bool:
        """Return whether the path serves metrics."""
        return bool(re.search(r"metrics|prometheus", self.path))

    @property
    def declares_readiness(self) -> bool:
        """Return whether a readiness probe uses the path, or its name is readiness."""
        return self.role == "ready" or bool(re.search(r"read(?:y|iness)", self.path))

    @property
    def declares_liveness(self) -> bool:
        """Return whether a liveness probe uses the path, or its name is liveness."""
        return self.role == "live" or bool(re.search(r"live|alive|/ping", self.path))


class Build(Struct, frozen=True):
    """How an image is built. `plain` means that Docker's classic builder can build it, `base` is its last `FROM`."""

    context: str
    dockerfile: str = "Dockerfile"
    args: tuple[tuple[str, str], ...] = ()
    target: str = ""
    plain: bool = True
    base: str = ""


class Service(Struct, frozen=True):
    """A service. `image` is empty if it is built, or if `variable`, its text in the file, can't be resolved.

    `port` is the one inside its container, `mounts` are files of the repository and their path in the container.
    `completes` are the dependencies that it waits for to end. `health` is what its container's health check requests.
    `lost` names settings of the Compose file that a target of the gate does not have. `composed` means that Compose
    starts it, and not the gate or the runner.
    """

    name: str
    image: str = ""
    variable: str = ""
    build: Build | None = None
    port: int | None = None
    published: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()
    depends_on: tuple[str, ...] = ()
    completes: tuple[str, ...] = ()
    health: Endpoint | None = None
    notices_after: int = 0
    file: str = ""
    lost: tuple[str, ...] = ()
    has_env_file: bool = False
    once: bool = False
    composed: bool = False

    @property
    def image_name(self) -> str:
        """Return the image's name without registry, tag and digest."""
        return (self.image or self.variable).rsplit("/", 1)[-1].split(":")[0].split("@")[0]

    @property
    def store(self) -> tuple[Kind, int] | None:
        """Return the kind and the port of a known database, cache or broker, by its image."""
        return store_of_image(self.build.base if self.build else self.image or self.variable)

    @property
    def is_prometheus(self) -> bool:
        """Return whether the image is Prometheus."""
        return self.image_name == "prometheus"

    @property
    def is_alertmanager(self) -> bool:
        """Return whether the image is Alertmanager."""
        return self.image_name in ("alertmanager", "prometheus-alertmanager")


class Probe(Struct, frozen=True):
    """A probe of a Kubernetes workload: an HTTP request, or a port."""

    role: Role
    path: str
    port: int | None
    notices_after: int
    line: int


class Workload(Struct, frozen=True):
    """A container of a Kubernetes workload, as its manifest or a chart's values describe it."""

    name: str
    file: str
    image: str = ""
    port: int | None = None
    probes: tuple[Probe, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def image_name(self) -> str:
        """Return the image's name without registry, tag and digest."""
        return self.image.rsplit("/", 1)[-1].split(":")[0].split("@")[0]


#: Steps of a workflow: each an action and its inputs.
Uses = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
