"""Read the services of Compose files, with variables resolved as far as the repository defines them.

https://github.com/compose-spec/compose-spec/blob/main/spec.md, /12-interpolation.md

A file `.env` is somebody's own, and may hold secrets: only its examples, which are committed for that, are read.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from gate.scaffold.files import Endpoint, RepoFiles, documents, folder_of, get_dict, get_list, get_str, resolve_path

# Placeholder of a password, a user or a database that the repository does not name.
PASSWORD = "prodgate"  # noqa: S105 - of databases that live as long as a job
_EXAMPLES = ("{}.example", "{}.sample", "{}.dist", "{}.template", "{}.test")
_NAME = re.compile(r"(?:^|/)(?:docker-)?compose[^/]*\.ya?ml$")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_INNERMOST = re.compile(r"\$\{([A-Za-z_]\w*)(?:(:?[-?+])([^${}]*))?\}")
_PLAIN = re.compile(r"\$([A-Za-z_]\w*)")
_FREE = re.compile(r"(?i)(?:pass|passwd|password|pwd|secret|token|key|user|username|db|database|dbname|name)$")
_ASKED = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::(\d{1,5}))?(/[A-Za-z0-9_.~/-]*)")
_DEPTH = 20
_STORES = {
    "postgres": 5432, "postgis": 5432, "timescaledb": 5432, "pgvector": 5432, "redis": 6379, "valkey": 6379,
    "mysql": 3306, "mariadb": 3306, "rabbitmq": 5672, "mongo": 27017, "memcached": 11211, "nats": 4222,
}  # fmt: skip


class _UnresolvedVariableError(Exception):
    """A variable can't be resolved from the repository."""


class Build(Struct, frozen=True):
    """How an image is built. `plain` means that Docker's classic builder can build it."""

    context: str
    dockerfile: str = "Dockerfile"
    args: tuple[tuple[str, str], ...] = ()
    target: str = ""
    plain: bool = True


class Service(Struct, frozen=True):
    """A service. `image` is empty where it is built, or where `variable`, as it stands in the file, can't be known.

    `port` is the one inside its container, `mounts` are files of the repository and where it has them, and `after`
    are the services that it depends on. `health` is what its container's health check asks. `elsewhere` are other
    files with a service of this name.
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
    health: Endpoint | None = None
    file: str = ""
    other_files: tuple[str, ...] = ()

    @property
    def image_name(self) -> str:
        """Return the image's name without registry, tag and digest."""
        return (self.image or self.variable).rsplit("/", 1)[-1].split(":")[0].split("@")[0]

    @property
    def datastore_port(self) -> int | None:
        """Return the port of a known database, cache or broker, by its image."""
        return next((port for name, port in _STORES.items() if self.image_name.startswith(name)), None)

    @property
    def prometheus(self) -> bool:
        """Return whether the image is Prometheus."""
        return self.image_name == "prometheus"

    @property
    def environment_with_defaults(self) -> tuple[tuple[str, str], ...]:
        """Return the environment, with the password without which the image does not start."""
        found = {name: value for name, value in self.environment if not name.endswith("_FILE")}
        for name, unless in _required(self.image_name, self.image, found):
            if not any(found.get(other) for other in (name, *unless)):
                found[name] = PASSWORD
        return tuple(found.items())


def _required(base: str, image: str, given: Mapping[str, str]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the variables that an image requires, each with its alternatives."""
    if "bitnami/" in image:
        return [("ALLOW_EMPTY_PASSWORD", ("POSTGRESQL_PASSWORD", "POSTGRES_PASSWORD", "REDIS_PASSWORD"))]
    if base.startswith(("postgres", "postgis", "timescaledb", "pgvector")):
        return [("POSTGRES_PASSWORD", ("POSTGRES_HOST_AUTH_METHOD",))]
    if base.startswith(("mysql", "mariadb")):
        roots = [f"{who}_{what}" for who in ("MYSQL", "MARIADB")
                 for what in ("ROOT_PASSWORD", "ALLOW_EMPTY_PASSWORD", "RANDOM_ROOT_PASSWORD",
                              "ALLOW_EMPTY_ROOT_PASSWORD")]  # fmt: skip
        users = [(f"{who}_PASSWORD", ()) for who in ("MYSQL", "MARIADB") if given.get(f"{who}_USER")]
        return [("MYSQL_ROOT_PASSWORD", tuple(roots)), *users]
    if base.startswith("mongo") and given.get("MONGO_INITDB_ROOT_USERNAME"):
        return [("MONGO_INITDB_ROOT_PASSWORD", ())]
    return []


def services(files: RepoFiles) -> dict[str, Service]:
    """Return all services by name. Of two with one name, the one in the shallower file with the shorter name wins."""
    names = [name for name in files.names if _NAME.search(name)]
    found: dict[str, Service] = {}
    for name in sorted(names, key=lambda name: (name.count("/"), len(name), name)):
        for data in documents(files.text(name))[:1]:
            reader = _Reader(files, name)
            for key, service in get_dict(data, "services").items():
                if before := found.get(str(key)):
                    found[str(key)] = structs.replace(before, other_files=(*before.other_files, name))
                elif _SERVICE.fullmatch(str(key)):
                    found[str(key)] = structs.replace(reader.service(str(key), service), file=name)
    return found


class _Reader:
    """Reads the services of one file."""

    def __init__(self, files: RepoFiles, file: str) -> None:
        self.files, self.file, self.folder = files, file, folder_of(file)
        self.variables = self._example(".env")

    def service(self, name: str, data: Any) -> Service:
        """Return a service, as far as it can be resolved."""
        build = self._build(data)
        image = "" if build else self._known(get_str(data, "image"))
        ports = [*get_list(data, "ports"), *get_list(data, "expose")]
        inside = [_inside_port(self._known(port) if isinstance(port, str) else port) for port in ports]
        health, asked_port = self._health(data, build)
        return Service(
            name,
            image=image or "",
            variable="" if image is not None else get_str(data, "image"),
            build=build,
            port=next((port for port in inside if port), self._exposed(build) or asked_port),
            published=tuple(port for port in map(self._published, get_list(data, "ports")) if port),
            environment=self._environment(data),
            command=self._command(data),
            mounts=tuple(mount for entry in get_list(data, "volumes") if (mount := self._mount(entry))),
            depends_on=tuple(str(other) for other in data.get("depends_on") or ()) if isinstance(data, dict) else (),
            health=health,
        )

    def _health(self, data: Any, build: Build | None) -> tuple[Endpoint | None, int | None]:
        """Return the HTTP endpoint and port of a service's health check, or else of its Dockerfile's."""
        test = get_dict(data, "healthcheck").get("test")
        words = " ".join(map(str, test)) if isinstance(test, list) else str(test or "")
        places = [(self._known(words) or "", self.file)]
        if build:
            dockerfile = posixpath.join(build.context, build.dockerfile)
            found = re.search(r"(?m)^\s*HEALTHCHECK(?:.*\\\n)*.*", self.files.text(posixpath.normpath(dockerfile)))
            places.append((found[0] if found else "", posixpath.normpath(dockerfile)))
        for text, file in places:
            if asked := _ASKED.search(text):
                at = self.files.text(file).find(asked[2])
                line = self.files.text(file).count("\n", 0, max(0, at)) + 1
                return Endpoint(asked[2], file, line), int(asked[1] or 80)
        return None, None

    def _example(self, name: str) -> dict[str, str]:
        """Return the variables of the committed example of an env file."""
        path = resolve_path(self.folder, name)
        folder, base = posixpath.split(path or "")
        names = [form.format(base) for form in _EXAMPLES] + ["env.example", "example.env", ".env.example"]
        if path and re.search(r"example|sample|dist|template", base):
            names.insert(0, base)
        text = next((text for each in names if (text := self.files.text(posixpath.join(folder, each)))), "")
        pairs = re.findall(r"(?m)^\s*(?:export\s+)?([A-Za-z_]\w*)[ \t]*=[ \t]*(.*?)[ \t]*$", text)
        return {name: re.sub(r"\s+#.*", "", value).strip("'\"") for name, value in pairs}

    def _known(self, text: str) -> str | None:
        """Return a text with its variables resolved; None if one can't be."""
        try:
            return self._resolved(text)
        except _UnresolvedVariableError:
            return None

    def _resolved(self, text: str) -> str:
        text = text.replace("$$", "\0")
        for _ in range(_DEPTH):
            if not _INNERMOST.search(text):
                break
            text = _INNERMOST.sub(lambda found: self._value(found[1], found[2] or "", found[3] or ""), text)
        return _PLAIN.sub(lambda found: self._value(found[1]), text).replace("\0", "$")

    def _value(self, name: str, operator: str = "", word: str = "") -> str:
        given = self.variables.get(name, "")
        if operator.endswith("+"):
            return word if given else ""
        if given or (operator.endswith("-") and word):
            return given or word
        if _FREE.search(name):
            return PASSWORD
        raise _UnresolvedVariableError(name)

    def _environment(self, data: Any) -> tuple[tuple[str, str], ...]:
        """Return the variables that can be resolved: those of `env_file` first, then the service's own."""
        named = data.get("env_file") if isinstance(data, dict) else None
        listed = named if isinstance(named, list) else [named]
        paths = [get_str(each, "path") if isinstance(each, dict) else each for each in listed]
        found = {name: value for path in paths if isinstance(path, str) for name, value in self._example(path).items()}
        given = data.get("environment") if isinstance(data, dict) else None
        if isinstance(given, list):
            given = {name: value if equals else None for name, equals, value in (str(e).partition("=") for e in given)}
        for name, value in (given if isinstance(given, dict) else {}).items():
            known = self._known(_text(name, value))
            if known is not None:
                found[str(name)] = known
        return tuple(found.items())

    def _build(self, data: Any) -> Build | None:
        given = data.get("build") if isinstance(data, dict) else None
        if not given:
            return None
        context = resolve_path(self.folder, given if isinstance(given, str) else get_str(given, "context") or ".")
        if context is None:
            return None
        args = given.get("args") if isinstance(given, dict) else None
        if isinstance(args, list):
            args = dict(str(entry).partition("=")[::2] for entry in args)
        known = {str(name): self._known(_text(name, value)) for name, value in (args or {}).items()}
        return built(
            self.files,
            context,
            get_str(given, "dockerfile") or "Dockerfile",
            tuple((name, value) for name, value in known.items() if value is not None),
            get_str(given, "target"),
        )

    def _exposed(self, build: Build | None) -> int | None:
        return exposed(self.files, build) if build else None

    def _published(self, entry: Any) -> str | None:
        known = self._known(str(entry)) if isinstance(entry, str | int) else None
        return known if known and re.fullmatch(r"(?:[\d.]+:)?\d+:\d+(?:/(?:tcp|udp))?", known) else None

    def _command(self, data: Any) -> tuple[str, ...]:
        given = data.get("command") if isinstance(data, dict) else None
        words = given if isinstance(given, list) else _split(str(given)) if given else []
        known = [self._known(str(each)) for each in words]
        return tuple(each for each in known if each is not None)

    def _mount(self, entry: Any) -> tuple[str, str] | None:
        """Return a mounted file or folder of the repository and its path in the container."""
        source, _, rest = entry.partition(":") if isinstance(entry, str) else (get_str(entry, "source"), "", "")
        to = get_str(entry, "target") or rest.partition(":")[0]
        path = resolve_path(self.folder, source) if source.startswith(".") else None
        return (path, to) if path and to.startswith("/") and self.files.below(path) else None


def built(
    files: RepoFiles, context: str, dockerfile: str, args: tuple[tuple[str, str], ...] = (), target: str = ""
) -> Build:
    """Return a build, and whether the classic builder can build it."""
    text = files.text(posixpath.join(context, dockerfile))
    modern = re.search(r"(?m)^\s*(?:RUN|COPY|ADD)\s+--(?:mount|link|chmod|network|security|parents|exclude)\b", text)
    heredoc = re.search(r"(?m)^\s*(?:RUN|COPY)\b.*<<-?['\"]?[A-Za-z]", text)
    return Build(context, dockerfile, args, target, not (modern or heredoc or target))


def exposed(files: RepoFiles, build: Build) -> int | None:
    """Return the first port that a Dockerfile exposes."""
    found = re.search(r"(?mi)^\s*EXPOSE\s+(\d{1,5})\b", files.text(posixpath.join(build.context, build.dockerfile)))
    return int(found[1]) if found and 0 < int(found[1]) < 65536 else None


def _text(name: Any, value: Any) -> str:
    """Return a value as Compose reads it: without a value, it is that of the variable with this name."""
    if value is None:
        return f"${{{name}}}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _inside_port(port: Any) -> int | None:
    text = str(port.get("target", "")) if isinstance(port, dict) else str(port)
    found = re.fullmatch(r"(?:.*:)?([0-9]{1,5})(?:/tcp)?", text)
    return int(found[1]) if found and 0 < int(found[1]) < 65536 else None
