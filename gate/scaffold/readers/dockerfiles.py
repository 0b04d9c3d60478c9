"""Read Dockerfiles: the ports that they expose, their health check, and the folder that they are built from."""

from __future__ import annotations

import posixpath
import re

from msgspec import Struct

from gate.scaffold.files import RepoFiles, documents, folder_of, get_dict, get_port, is_port, is_test, line_of
from gate.scaffold.model import Build, Endpoint

_NAME = re.compile(r"(?i)(?:^|/)(?:Dockerfile(?:\.[\w-]+)?|[\w-]+\.Dockerfile|Containerfile)$")
_NO_SERVICE = re.compile(
    r"(?i)(?:^|/)\.(?:devcontainer|github|ci|circleci|gitpod)/|(?:^|/)(?:debian|rpm|lint|docs?|ci)/"
)
_AUXILIARY = re.compile(r"(?i)(?:^|[/._-])(?:dev|test|tests|e2e|local|base)(?:[/._-]|$)")
_MODERN = re.compile(
    r"(?m)^\s*(?:RUN|COPY|ADD)\s+--(?:mount|link|chmod|network|security|parents|exclude)\b|"
    r"^\s*(?:RUN|COPY)\b.*<<-?['\"]?[A-Za-z]"
)
#: The URL of a request to the container itself. An expression in front of the path, as in Python, is left out.
_URL = re.compile(
    r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(\d{1,5}))?(?:\$?\{[\w.]+\})?(/[A-Za-z0-9_.~/-]*)?"
)
_CONFIGURATION = re.compile(
    r"(?:^|/)(?:config|configuration|settings|conf)/[\w.-]+\.ya?ml$|(?:^|/)application\.(?:properties|ya?ml)$"
)


class Requested(Struct, frozen=True):
    """What a health check requests: a path and a port."""

    path: str
    port: int


def requested(text: str) -> Requested | None:
    """Return what a health check's command requests; None if it is not an HTTP request that can be read."""
    found = max(_URL.finditer(text), key=lambda url: bool(url[2]), default=None)
    port = int(found[1] or 80) if found else 0
    return Requested(found[2] or "/", port) if found and is_port(port) else None


def dockerfiles(files: RepoFiles) -> list[Build]:
    """Return the Dockerfiles that may build a service, those without a special purpose first."""
    names = [name for name in files.names if _NAME.search(name) and not is_test(name) and not _NO_SERVICE.search(name)]
    names.sort(key=lambda name: bool(_AUXILIARY.search(name)))
    return [built(files, context_of(files, name), name) for name in names]


def context_of(files: RepoFiles, name: str) -> str:
    """Return the folder that a Dockerfile is built from: the one that has more of the files that it copies."""
    folder = folder_of(name)
    sources = [
        source.rstrip("/")
        for line in re.findall(r"(?mi)^\s*(?:COPY|ADD)\s+(.+)$", files.text(name))
        if "--from" not in line
        for source in re.sub(r"--\S+", "", line).strip("[] ").replace('"', "").replace(",", " ").split()[:-1]
    ]
    plain = [source.removeprefix("./") for source in sources if re.fullmatch(r"[\w./-]+", source) and source != "."]
    candidates = [folder, folder_of(folder), "."]
    best = max(
        candidates, key=lambda at: sum(bool(files.below(posixpath.normpath(posixpath.join(at, s)))) for s in plain)
    )
    if not plain and sources and folder != ".":
        # `COPY . .` in a folder that has nothing but its Dockerfile copies the repository.
        others = [each for each in files.below(folder) if not _NAME.search(each)]
        best = folder if len(others) > 2 else "."
    return best


def built(files: RepoFiles, context: str, path: str, args: tuple[tuple[str, str], ...] = (), target: str = "") -> Build:
    """Return a build of the Dockerfile at a path of the repository, and if the classic builder can build it."""
    text = files.text(path)
    bases = re.findall(r"(?mi)^\s*FROM\s+(?:--\S+\s+)*(\S+)", text)
    plain = not (_MODERN.search(text) or target)
    return Build(context, posixpath.relpath(path, context), args, target, plain, bases[-1] if bases else "")


def path_of(build: Build) -> str:
    """Return the path of a build's Dockerfile in the repository."""
    return posixpath.normpath(posixpath.join(build.context, build.dockerfile))


def exposed(files: RepoFiles, build: Build) -> int | None:
    """Return the port of a Dockerfile's health check, else the first that it exposes, else that of its command."""
    if check := health(files, build):
        return check[1]
    text = files.text(path_of(build))
    known = dict(re.findall(r"(?mi)^\s*(?:ARG|ENV)\s+(\w+)[= ]\"?(\d+)\"?\s*$", text))
    for words in re.findall(r"(?mi)^\s*EXPOSE\s+(.+)$", text):
        for word in words.split():
            value = re.sub(r"\$\{?(\w+)(?::-(\d+))?\}?", lambda name: known.get(name[1]) or name[2] or "", word)
            if port := re.fullmatch(r"(\d{1,5})(?:/tcp)?", value):
                return _port(port[1])
    command = re.findall(r"(?mi)^\s*(?:CMD|ENTRYPOINT)\s+(.+)$", text)
    named = re.search(r"(?:--(?:port|bind|listen|addr)|-p|-b)[\"', =]+[\w.]*:?(\d{2,5})\b", " ".join(command))
    return _port(named[1] if named else known.get("PORT", "")) or _configured_port(files, build)


def _port(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) and is_port(int(text)) else None


def _configured_port(files: RepoFiles, build: Build) -> int | None:
    """Return the port of the service's own configuration: of a YAML file, or of Spring's properties."""
    for name in files.below(build.context):
        if not _CONFIGURATION.search(name) or is_test(name):
            continue
        text = files.text(name)
        if found := re.search(r"(?m)^server\.port\s*=\s*(?:\$\{\w+:)?(\d+)", text):
            return _port(found[1])
        for data in documents(text)[:1]:
            for values in (data, *(get_dict(data, key) for key in ("application", "server", "app", "http", "web"))):
                if port := get_port(values, "port"):
                    return port
    return None


def health(files: RepoFiles, build: Build) -> tuple[Endpoint, int] | None:
    """Return the endpoint and the port of a Dockerfile's health check."""
    text = files.text(path_of(build))
    found = re.search(r"(?m)^\s*HEALTHCHECK(?:.*\\\n)*.*", text)
    asked = requested(found[0]) or requested(script_of(files, found[0])) if found else None
    if not found or not asked:
        return None
    return Endpoint(asked.path, path_of(build), line_of(text, "HEALTHCHECK"), "health"), asked.port


def script_of(files: RepoFiles, command: str) -> str:
    """Return the text of the repository's script that a health check's command runs; empty if there is none."""
    named = re.findall(r"[\w-]+\.(?:py|sh|js|mjs|ts|rb|php|pl)\b", command)
    found = [name for name in files.names if posixpath.basename(name) in named and not is_test(name)]
    return files.text(found[0]) if len(found) == 1 else ""
