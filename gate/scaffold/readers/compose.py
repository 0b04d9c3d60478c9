"""Read the services of a Compose project, with variables resolved as far as the commit defines them.

https://github.com/compose-spec/compose-spec/blob/main/spec.md, /12-interpolation.md
"""

from __future__ import annotations

import math
import re
import shlex
from typing import Any

from msgspec import structs

from gate.scaffold.files import RepoFiles, get_dict, get_list, get_str, line_of, resolve_path
from gate.scaffold.model import INVENTED, Build, Endpoint, Service
from gate.scaffold.readers.compose_files import Definition, Project, as_mapping
from gate.scaffold.readers.dockerfiles import built, exposed, health, requested, script_of
from gate.scaffold.readers.env_files import read_env_file

_INNERMOST = re.compile(r"\$\{([A-Za-z_]\w*)(?:(:?[-?+])([^${}]*))?\}")
_PLAIN = re.compile(r"\$([A-Za-z_]\w*)")
#: Names of variables whose value may be made up.
FREE_VALUE = re.compile(r"(?i)(?:pass|passwd|password|pwd|secret|token|key|user|username|db|database|dbname|name)$")
_DEPTH = 20
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
#: Settings of a Compose file without which a service may not work, and that a target of the gate does not have.
_LOST = (
    "entrypoint",
    "working_dir",
    "user",
    "volumes_from",
    "devices",
    "privileged",
    "network_mode",
    "secrets",
    "configs",
)


class _UnresolvedVariableError(Exception):
    """A variable can't be resolved from the repository."""


def read_services(files: RepoFiles, project: Project) -> dict[str, Service]:
    """Return the services that `docker compose up` starts: those without a profile, and what they depend on."""
    found = {name: _Reader(files, definition).service(name) for name, definition in project.services.items()}
    wanted = [name for name, definition in project.services.items() if not get_list(definition.data, "profiles")]
    reached = list(wanted)
    for name in reached:
        reached += [other for other in found[name].depends_on if other in found and other not in reached]
    ended = {other for service in found.values() for other in service.completes}
    return {name: structs.replace(found[name], once=name in ended) for name in found if name in reached}


def unused_profiles(project: Project, services: dict[str, Service]) -> list[str]:
    """Return the services that are not read because only a profile starts them."""
    return [name for name in project.services if name not in services]


def seconds(text: Any, default: float) -> float:
    """Return the seconds of a Compose duration, such as `1m30s`."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", str(text))
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else default


class _Reader:
    """Reads one service."""

    def __init__(self, files: RepoFiles, definition: Definition) -> None:
        self.files, self.folder, self.file, self.data = files, definition.folder, definition.file, definition.data
        self.variables = read_env_file(files, self.folder, ".env")

    def service(self, name: str) -> Service:
        """Return the service, as far as it can be resolved."""
        build = self._build()
        image = "" if build else self._known(get_str(self.data, "image"))
        check, check_port, notices_after = self._health(build)
        inside = [_inside_port(self._known(port) if isinstance(port, str) else port) for port in self._ports()]
        depends_on = as_mapping(self.data.get("depends_on"))
        return Service(
            name,
            image=image or "",
            variable="" if image is not None else get_str(self.data, "image"),
            build=build,
            port=check_port or next((port for port in inside if port), exposed(self.files, build) if build else None),
            published=tuple(port for port in map(self._published, get_list(self.data, "ports")) if port),
            environment=self._environment(),
            command=self._command(),
            mounts=tuple(mount for entry in get_list(self.data, "volumes") if (mount := self._mount(entry))),
            depends_on=tuple(str(other) for other in depends_on),
            completes=tuple(
                str(other)
                for other, how in depends_on.items()
                if get_str(how, "condition") == "service_completed_successfully"
            ),
            health=check,
            notices_after=notices_after,
            file=self.file,
            has_env_file=bool(self.data.get("env_file")),
            lost=tuple(key for key in _LOST if self.data.get(key)),
        )

    def _ports(self) -> list[Any]:
        return [*get_list(self.data, "ports"), *get_list(self.data, "expose")]

    def _health(self, build: Build | None) -> tuple[Endpoint | None, int | None, int]:
        """Return the endpoint and port of the health check, or else of the Dockerfile's, and when it notices."""
        check = get_dict(self.data, "healthcheck")
        interval, timeout = seconds(check.get("interval"), 30), seconds(check.get("timeout"), 30)
        retries = check.get("retries") if isinstance(check.get("retries"), int) else 3
        after = math.ceil(interval * int(retries or 3) + timeout) if check else 0
        test = check.get("test")
        words = " ".join(map(str, test)) if isinstance(test, list) else str(test or "")
        if asked := requested(self._known(words) or "") or requested(script_of(self.files, words)):
            line = line_of(self.files.text(self.file), asked.path if asked.path != "/" else "healthcheck")
            endpoint = Endpoint(asked.path, self.file, line, "health", notices_after=after)
            return endpoint, asked.port, after
        found = health(self.files, build) if build and not test else None
        return (found[0], found[1], after) if found else (None, None, after)

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
        given = self.variables.get(name)
        if operator.startswith(":"):
            given = given or None
        if operator.endswith("+"):
            return "" if given is None else word
        if given is not None:
            return given
        if operator.endswith("-"):
            return word
        if FREE_VALUE.search(name):
            return INVENTED
        raise _UnresolvedVariableError(name)

    def _environment(self) -> tuple[tuple[str, str], ...]:
        """Return the variables that can be resolved: those of `env_file` first, then the service's own."""
        named = self.data.get("env_file")
        listed = named if isinstance(named, list) else [named]
        paths = [get_str(entry, "path") if isinstance(entry, dict) else entry for entry in listed]
        found: dict[str, str] = {}
        for path in paths:
            if isinstance(path, str):
                found |= read_env_file(self.files, self.folder, self._known(path) or path)
        for name, value in as_mapping(self.data.get("environment")).items():
            known = self._known(_text(name, value))
            if known is not None:
                found[str(name)] = known
        return tuple(found.items())

    def _build(self) -> Build | None:
        given = self.data.get("build")
        if not given:
            return None
        context = given if isinstance(given, str) else get_str(given, "context") or "."
        folder = resolve_path(self.folder, self._known(context) or context)
        if folder is None:
            return None
        args = as_mapping(given.get("args")) if isinstance(given, dict) else {}
        known = {str(name): self._known(_text(name, value)) for name, value in args.items()}
        path = resolve_path(folder, get_str(given, "dockerfile") or "Dockerfile")
        pairs = tuple((name, value) for name, value in known.items() if value is not None)
        return built(self.files, folder, path, pairs, get_str(given, "target")) if path else None

    def _published(self, entry: Any) -> str | None:
        known = self._known(str(entry)) if isinstance(entry, str | int) else None
        return known if known and re.fullmatch(r"(?:[\d.]+:)?\d+:\d+(?:/(?:tcp|udp))?", known) else None

    def _command(self) -> tuple[str, ...]:
        given = self.data.get("command")
        words = given if isinstance(given, list) else _split(str(given)) if given else []
        known = [self._known(str(word)) for word in words]
        return tuple(word for word in known if word is not None)

    def _mount(self, entry: Any) -> tuple[str, str] | None:
        """Return a mounted file or folder of the repository and its path in the container."""
        source, _, rest = entry.partition(":") if isinstance(entry, str) else (get_str(entry, "source"), "", "")
        to = get_str(entry, "target") or rest.partition(":")[0]
        path = resolve_path(self.folder, source) if source.startswith(".") else None
        return (path, to) if path and to.startswith("/") and self.files.below(path) else None


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
    found = re.fullmatch(r"(?:.*:)?([0-9]{1,5})(?:-\d+)?(?:/tcp)?", text)
    return int(found[1]) if found and 0 < int(found[1]) < 65536 else None
