"""The images that tests run: a small Debian, services on top of it, and the action's own image.

They are made here, from Debian's packages, so that no image registry is needed. A tag holds a hash of what an image is
made from: what is there already is not made again. Run as a program: `python3 -m tests.support.images`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import IO

from tests.support import engine

REPOSITORY = "prodgate-test"
SERVICES = ("postgres", "redis", "prometheus", "alertmanager")
SUITE = "trixie"
_INCLUDE = "ca-certificates,python3,python3-venv"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_RECIPES = Path(__file__).parent / "docker"
_ACTION = ("Dockerfile", ".dockerignore", "requirements.lock", "gate", "templates")


@cache
def base() -> str:
    """Return the tag of a minimal Debian with Python and this machine's certificates.

    About a minute the first time.
    """
    settings = _machine_settings()
    tag = _tag("base", [_INCLUDE.encode(), SUITE.encode(), *(name.encode() + text for name, text in settings.items())])
    with engine.locked("image-base"):
        if not _there(tag):
            _bootstrap(tag, settings)
    return tag


@cache
def service(name: str) -> str:
    """Return the tag of an image of tests/support/docker, such as one of SERVICES."""
    recipe = _RECIPES / name
    below = base()
    tag = _tag(name, [below.encode(), *_contents([recipe])])
    with engine.locked(f"image-{name}"):
        if not _there(tag):
            _build(tag, recipe, below)
    return tag


def step() -> str:
    """Return the tag of the image of an action whose stages do what a test has put into the workspace."""
    return service("step")


@cache
def action() -> str:
    """Return the tag of the action's own image, from the Dockerfile that is published, on the test's base."""
    below = base()
    tag = _tag("action", [below.encode(), *_contents(_action_files())])
    with engine.locked("image-action"):
        if not _there(tag):
            _build(tag, engine.ROOT, below)
    return tag


def _action_files() -> list[Path]:
    files = [engine.ROOT / name for name in _ACTION]
    return files + sorted(engine.ROOT.glob("*.py"))


def _tag(name: str, parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return f"{REPOSITORY}/{name}:{digest.hexdigest()[:16]}"


def _contents(paths: Iterable[Path]) -> list[bytes]:
    files = [
        file
        for path in paths
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file() and "__pycache__" not in file.parts
    ]
    return [part for file in files for part in (str(file.relative_to(engine.ROOT)).encode(), file.read_bytes())]


def _there(tag: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", tag], capture_output=True, check=False).returncode == 0


def _bootstrap(tag: str, settings: dict[str, bytes]) -> None:
    """Make a Debian in a folder and import it."""
    print(f"prodgate: making {tag} (about a minute, once)", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="prodgate-base-") as folder:
        _say(["debootstrap", "--variant=minbase", f"--include={_INCLUDE}", SUITE, folder])
        for leftover in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(Path(folder, leftover))
            Path(folder, leftover, "partial").mkdir(parents=True)
        for name, text in settings.items():
            Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, name).write_bytes(text)
        with subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE) as tar:
            _say(["docker", "import", "--change", 'CMD ["/bin/bash"]', "-", tag], stdin=tar.stdout)


def _machine_settings() -> dict[str, bytes]:
    """Return the files by which a build reaches the package registries: certificates, pip, apt."""
    found = {}
    if _CERTIFICATES.exists():
        found[str(_CERTIFICATES)[1:]] = _CERTIFICATES.read_bytes()
    if pip := _pip_settings():
        found["etc/pip.conf"] = ("[global]\n" + "".join(f"{key} = {value}\n" for key, value in pip.items())).encode()
    if apt := _apt_settings():
        found["etc/apt/apt.conf.d/99machine"] = "".join(f"{line}\n" for line in apt).encode()
    return found


def _pip_settings() -> dict[str, str]:
    """Return pip's index and trusted hosts, without folders: a container has none of them."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2].strip("'")
        if name in ("index-url", "proxy", "timeout", "trusted-host"):
            found[name] = value.strip("'")
        if name == "cert":
            found[name] = str(_CERTIFICATES)
    return found


def _apt_settings() -> list[str]:
    if not shutil.which("apt-config"):
        return []
    done = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if "::Proxy " in line or "::Verify-" in line]


def _build(tag: str, folder: Path, below: str) -> None:
    """Build with the classic builder, which every engine has, on the machine's own network."""
    print(f"prodgate: building {tag}", file=sys.stderr)
    proxies = [part for name in ("http_proxy", "https_proxy", "no_proxy") for part in _build_argument(name)]
    _say(["docker", "build", "--network=host", "--build-arg", f"BASE={below}", *proxies, "-t", tag, str(folder)])


def _build_argument(name: str) -> list[str]:
    return ["--build-arg", name] if os.environ.get(name) else []


def _say(command: list[str], stdin: IO[bytes] | None = None) -> None:
    """Run a command, and show its output only if it failed."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(
        command,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(command)}` exited with {done.returncode}:\n{done.stdout[-4000:]}")


def main() -> int:
    """Build every image that does not exist yet."""
    try:
        engine.up()
        # Every other image is built on it.
        base()
        with ThreadPoolExecutor(3) as pool:
            builds = [pool.submit(action), *(pool.submit(service, name) for name in SERVICES)]
            for build in builds:
                build.result()
    except (engine.EngineError, RuntimeError, OSError) as error:
        print(f"prodgate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
