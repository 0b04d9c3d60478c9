"""Make a database and its clients agree: one user, one password, one database, one host.

What the commit says wins over what is invented, on whichever side it says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from msgspec import structs

from gate.scaffold.files import RepoFiles
from gate.scaffold.model import INVENTED, Kind, Service
from gate.scaffold.readers.env_files import read_example

Part = Literal["user", "password", "database"]
_PARTS: tuple[Part, ...] = ("user", "password", "database")
_SCHEMES: dict[Kind, str] = {
    "postgres": r"postgres(?:ql)?(?:\+\w+)?|postgis|jdbc:postgresql",
    "mysql": r"mysql2?(?:\+\w+)?|mariadb(?:\+\w+)?|jdbc:mysql|jdbc:mariadb",
    "mongo": r"mongodb(?:\+srv)?",
    "rabbitmq": r"amqps?|pyamqp",
    "redis": r"rediss?",
}
_LOCAL = r"localhost|127\.0\.0\.1|host\.docker\.internal"
#: The variables of an image, by what they hold; the first one is written if none is there.
_VARIABLES: dict[Kind, dict[Part, tuple[str, ...]]] = {
    "mssql": {"password": ("MSSQL_SA_PASSWORD", "SA_PASSWORD")},
    "postgres": {"user": ("POSTGRES_USER",), "password": ("POSTGRES_PASSWORD",), "database": ("POSTGRES_DB",)},
    "mysql": {
        "user": ("MYSQL_USER", "MARIADB_USER"),
        "password": ("MYSQL_PASSWORD", "MARIADB_PASSWORD"),
        "database": ("MYSQL_DATABASE", "MARIADB_DATABASE"),
    },
    "mongo": {
        "user": ("MONGO_INITDB_ROOT_USERNAME",),
        "password": ("MONGO_INITDB_ROOT_PASSWORD",),
        "database": ("MONGO_INITDB_DATABASE",),
    },
    "rabbitmq": {
        "user": ("RABBITMQ_DEFAULT_USER",), "password": ("RABBITMQ_DEFAULT_PASS",),
        "database": ("RABBITMQ_DEFAULT_VHOST",),
    },
}  # fmt: skip
_CLIENT = re.compile(
    r"(?i)^(?:\w+_)?(?:db|database|postgres(?:ql)?|pg|mysql|mariadb|sql|mongo|typeorm|datasource|rabbitmq|amqp)(?:_default|_main)?_?"
    r"(?:(?P<user>user(?:name)?)|(?P<password>pass(?:word)?|pw)|(?P<database>name|db|database|dbname))$"
)
_DATABASE_HOST = re.compile(
    r"(?i)^(?:\w+_)?(?:db|database|postgres(?:ql)?|pg|mysql|mariadb|mongo|redis|rabbitmq)\w*?_?host(?:name)?$"
)
_ANY_HOST = re.compile(r"(?i)host(?:name)?$|server$")
_OWN = re.compile(
    r"^(?:POSTGRES|PG|MYSQL|MARIADB|MONGO|REDIS|VALKEY|RABBITMQ|ALLOW_EMPTY|TZ|LANG|KAFKA|discovery|ES_|MSSQL|SA_|ACCEPT_EULA|ELASTIC|CLICKHOUSE|NEO4J|INFLUX|COUCH|CASSANDRA)"
)


def agree(files: RepoFiles, services: Iterable[Service]) -> dict[str, Service]:
    """Return the services with environments that fit each other."""
    found = {service.name: _prepared(files, service) for service in services}
    for store in [service for service in found.values() if service.store]:
        clients = [service for service in found.values() if not service.store and _is_client(service, store, found)]
        known = _known(store)
        for client in clients:
            for part, value in _client_parts(client, store).items():
                if value and known.get(part) in (None, "", INVENTED):
                    known[part] = value
        found[store.name] = _with_parts(store, known)
        for client in clients:
            known = {**_root(found[store.name]), **_known(found[store.name])}
            found[client.name] = _connected(client, store, known)
    return found


def uses(service: Service, other: Service) -> bool:
    """Return whether a service depends on another one, or names it as a host in its environment or command."""
    if other.name in service.depends_on:
        return True
    host = re.compile(rf"(?:@|//){re.escape(other.name)}(?=$|[:/,\s?])|(?:^|[\s,=]){re.escape(other.name)}:\d{{2,5}}\b")
    texts = [*(value for _, value in service.environment), *service.command]
    named = any(_ANY_HOST.search(name) and value == other.name for name, value in service.environment)
    return named or any(host.search(text) for text in texts)


def _prepared(files: RepoFiles, service: Service) -> Service:
    """Return a service with the variables that are its own.

    A database gets none of its clients', which an env file for all of them brings along. An application also gets
    those of its `.env.example`, if nobody passes it a file: it reads a `.env` that is not committed.
    """
    if service.store:
        own = {name: value for name, value in service.environment if _OWN.match(name)}
        return structs.replace(service, environment=tuple(own.items()))
    if not service.build:
        return service
    example = {} if service.has_env_file else read_example(files, service.build.context)
    environment = {name: _reachable(name, value) for name, value in {**example, **dict(service.environment)}.items()}
    return structs.replace(service, environment=tuple(environment.items()))


def _reachable(name: str, value: str) -> str:
    """Return a list of allowed host names that lets the gate in, which uses the service's name."""
    return "*" if re.fullmatch(r"(?:\w+_)?ALLOWED_HOSTS", name) and re.search(_LOCAL, value) else value


def _is_client(service: Service, store: Service, found: dict[str, Service]) -> bool:
    assert store.store
    kind = store.store[0]
    alone = [other for other in found.values() if other.store and other.store[0] == kind] == [store]
    url = re.compile(rf"(?:{_SCHEMES.get(kind, kind)})://[^\s]*?(?:@|//)(?:{_LOCAL})\b")
    return uses(service, store) or (alone and any(url.search(value) for _, value in service.environment))


def _url(store: Service) -> re.Pattern[str]:
    assert store.store
    scheme = _SCHEMES.get(store.store[0], store.store[0])
    return re.compile(
        rf"(?P<before>(?:{scheme})://(?:(?P<user>[^:@/\s]*)(?::(?P<password>[^@/\s]*))?@)?)"
        rf"(?P<host>{re.escape(store.name)}|{_LOCAL})(?P<rest>(?::\d+)?(?:/(?P<database>[\w.-]*))?)"
    )


def _known(store: Service) -> dict[Part, str]:
    """Return what a database's own environment says."""
    assert store.store
    environment = dict(store.environment)
    variables = _VARIABLES.get(store.store[0], {})
    return {part: environment[name] for part, names in variables.items() for name in names if environment.get(name)}


def _root(store: Service) -> dict[Part, str]:
    """Return the user of a MySQL that has no other one."""
    environment = dict(store.environment)
    password = environment.get("MYSQL_ROOT_PASSWORD") or environment.get("MARIADB_ROOT_PASSWORD")
    return {"user": "root", "password": password} if password and not environment.get("MYSQL_USER") else {}


def _client_parts(client: Service, store: Service) -> dict[Part, str]:
    """Return what a client uses: of its URL, else of its variables."""
    for _, value in client.environment:
        if (found := _url(store).search(value)) and found["user"]:
            return {part: found[part] or "" for part in _PARTS}
    parts: dict[Part, str] = {}
    for name, value in client.environment:
        if found := _CLIENT.match(name):
            parts |= {part: value for part in _PARTS if found[part]}
    return parts


def _with_parts(store: Service, known: dict[Part, str]) -> Service:
    """Return a database that has what its clients use, and the password without which it does not start."""
    assert store.store
    kind = store.store[0]
    environment = {name: value for name, value in store.environment if not name.endswith("_FILE")}
    for part, names in _VARIABLES.get(kind, {}).items():
        name = next((name for name in names if name in environment), names[0])
        root = kind == "mysql" and known.get("user") == "root" and part != "database"
        if known.get(part) and not root and not (kind == "rabbitmq" and part == "database"):
            environment[name] = known[part]
    for name, unless in _required(store, environment):
        if not any(environment.get(other) for other in (name, *unless)):
            environment[name] = "Y" if name == "ACCEPT_EULA" else known.get("password") or INVENTED
    return structs.replace(store, environment=tuple(environment.items()))


def _required(store: Service, given: dict[str, str]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the variables that an image requires, each with its alternatives."""
    if "bitnami/" in store.image:
        return [("ALLOW_EMPTY_PASSWORD", ("POSTGRESQL_PASSWORD", "POSTGRES_PASSWORD", "REDIS_PASSWORD"))]
    kind = store.store[0] if store.store else ""
    if kind == "postgres":
        return [("POSTGRES_PASSWORD", ("POSTGRES_HOST_AUTH_METHOD",))]
    if kind == "mysql":
        whose = ("MYSQL", "MARIADB")
        what = ("ROOT_PASSWORD", "ALLOW_EMPTY_PASSWORD", "RANDOM_ROOT_PASSWORD", "ALLOW_EMPTY_ROOT_PASSWORD")
        roots = tuple(f"{who}_{name}" for who in whose for name in what)
        return [("MYSQL_ROOT_PASSWORD", roots), *((f"{who}_PASSWORD", ()) for who in whose if given.get(f"{who}_USER"))]
    if kind == "mssql":
        return [("MSSQL_SA_PASSWORD", ("SA_PASSWORD",)), ("ACCEPT_EULA", ())]
    if kind == "mongo" and given.get("MONGO_INITDB_ROOT_USERNAME"):
        return [("MONGO_INITDB_ROOT_PASSWORD", ())]
    return []


def _connected(client: Service, store: Service, known: dict[Part, str]) -> Service:
    """Return a client whose variables lead to the database, with its credentials where the client has none."""
    environment = dict(client.environment)
    for name, value in client.environment:
        environment[name] = _url(store).sub(lambda found: f"{found['before']}{store.name}{found['rest']}", value)
        part = _CLIENT.match(name)
        if part and value in ("", INVENTED):
            environment[name] = next((known[p] for p in _PARTS if part[p] and known.get(p)), value)
        if _DATABASE_HOST.match(name) and re.fullmatch(_LOCAL, value) and store.store and _host_kind(name, store):
            environment[name] = store.name
    return structs.replace(client, environment=tuple(environment.items()))


def _host_kind(name: str, store: Service) -> bool:
    """Return whether a variable that holds a host may be that of a store: `REDIS_HOST` is not a database's."""
    assert store.store
    kind = store.store[0]
    named = re.search(r"(?i)redis|rabbitmq|mongo|mysql|mariadb|postgres|pg", name)
    words = {"mariadb": "mysql", "pg": "postgres"}
    return words.get(named[0].lower(), named[0].lower()) == kind if named else kind in ("postgres", "mysql", "mongo")
