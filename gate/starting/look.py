"""What a repository has that a gate can check: rules, scrape jobs, runbooks, health endpoints, services, tests.

Reads files, runs nothing. Bounded: at most 20,000 files, 512 KiB of each.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_FILES = 20_000
_BYTES = 512 * 1024
_SKIPPED = {".git", ".venv", "venv", "node_modules", "vendor", "third_party", "target", "dist", "build", "__pycache__"}
_CODE = {".go", ".py", ".js", ".ts", ".java", ".kt", ".rb", ".rs", ".cs", ".php", ".ex", ".scala"}
_ENDPOINT = re.compile(r"""["'`](/(?:api/)?(?:healthz?|readyz?|livez?|live|ready|readiness|liveness|metrics))["'`]""")
_TESTS = re.compile(
    r"(?:^|/)(?:tests?|spec|testdata|fixtures|__tests__)/|(?:_test|\.test|\.spec)\.[a-z]+$|(?:^|/)test_"
)
_STORES = {"postgres": 5432, "postgis": 5432, "redis": 6379, "valkey": 6379, "mysql": 3306, "mariadb": 3306,
           "rabbitmq": 5672, "mongo": 27017}  # fmt: skip


@dataclass(frozen=True)
class Service:
    """A service of a Compose file. `port` is the one inside its container, None where the file does not say."""

    name: str
    image: str = ""
    built: bool = False
    port: int | None = None
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def store(self) -> int | None:
        """The port of a known database, cache or broker, by its image."""
        base = self.image.rsplit("/", 1)[-1].split(":")[0].split("@")[0]
        return next((port for name, port in _STORES.items() if base.startswith(name)), None)


@dataclass
class Found:
    """What was found. Paths are relative to the repository, with forward slashes."""

    rules: dict[str, list[str]] = field(default_factory=dict)
    jobs: dict[str, list[str]] = field(default_factory=dict)
    runbooks: dict[str, list[str]] = field(default_factory=dict)
    endpoints: dict[str, tuple[str, int]] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    tests: list[list[str]] = field(default_factory=list)


def look(root: Path) -> Found:
    """Everything that is found in a repository."""
    found = Found()
    for path in _files(root):
        name = path.relative_to(root).as_posix()
        if path.suffix in (".yml", ".yaml", ".rules"):
            _yaml(name, _text(path), found)
        elif path.suffix == ".md" and re.search(r"(?i)(?:^|/)runbooks?/", name):
            _runbook(name, _text(path), found)
        elif path.suffix in _CODE and not _TESTS.search(name):
            _code(name, _text(path), found)
    found.tests = _tests(root)
    return found


def _files(root: Path) -> Iterator[Path]:
    count = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for name in sorted(names):
            count += 1
            if count > _FILES:
                return
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _yaml(name: str, text: str, found: Found) -> None:
    if not re.search(r"(?m)^(?:groups|scrape_configs|services):", text):
        return
    try:
        data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError):
        return
    if not isinstance(data, dict):
        return
    groups = [_text_at(group, "name") for group in _list(data, "groups") if _list(group, "rules")]
    if any(groups):
        found.rules[name] = [group for group in groups if group]
    jobs = [_text_at(job, "job_name") for job in _list(data, "scrape_configs")]
    if any(jobs):
        found.jobs[name] = [job for job in jobs if job]
    if re.search(r"(?:^|/)(?:docker-)?compose[^/]*\.ya?ml$", name):
        for key, service in _mapping(data, "services").items():
            found.services.setdefault(str(key), _service(str(key), service))


def _service(name: str, data: Any) -> Service:
    image = _text_at(data, "image")
    ports = [*_list(data, "ports"), *_list(data, "expose")]
    inside = [_inside_port(port) for port in ports]
    known = next((port for port in inside if port), None)
    return Service(name, image, "build" in data if isinstance(data, dict) else False, known, _environment(data))


def _inside_port(port: Any) -> int | None:
    text = str(port.get("target", "")) if isinstance(port, dict) else str(port)
    found = re.fullmatch(r"(?:.*:)?([0-9]{1,5})(?:/tcp)?", text)
    return int(found[1]) if found and 0 < int(found[1]) < 65536 else None


def _environment(data: Any) -> tuple[tuple[str, str], ...]:
    given = data.get("environment") if isinstance(data, dict) else None
    if isinstance(given, dict):
        return tuple((str(key), "" if value is None else str(value)) for key, value in given.items())
    pairs = [str(entry).partition("=") for entry in given] if isinstance(given, list) else []
    return tuple((key, value) for key, _, value in pairs)


def _runbook(name: str, text: str, found: Found) -> None:
    if not re.search(r"(?i)(?:^|/)(?:readme|index|template)\.md$", name):
        found.runbooks[name] = re.findall(r"(?m)^##\s+(.+?)\s*#*\s*$", text)[:12]


def _code(name: str, text: str, found: Found) -> None:
    for match in _ENDPOINT.finditer(text):
        found.endpoints.setdefault(match[1], (name, text.count("\n", 0, match.start()) + 1))


def _tests(root: Path) -> list[list[str]]:
    commands = []
    if (root / "go.mod").is_file():
        commands.append(["go", "test", "./..."])
    if (root / "package.json").is_file() and _has_npm_test(root / "package.json"):
        commands.append(["npm", "test"])
    python = any((root / name).is_file() for name in ("pytest.ini", "tox.ini", "pyproject.toml", "setup.cfg"))
    if python and any((root / name).is_dir() for name in ("tests", "test")):
        commands.append(["python", "-m", "pytest"])
    if (root / "Cargo.toml").is_file():
        commands.append(["cargo", "test"])
    return commands


def _has_npm_test(path: Path) -> bool:
    try:
        return bool(_text_at(_mapping(json.loads(_text(path)), "scripts"), "test"))
    except (ValueError, RecursionError):
        return False


def _list(data: Any, key: str) -> list[Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []


def _mapping(data: Any, key: str) -> dict[Any, Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def _text_at(data: Any, key: str) -> str:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""
