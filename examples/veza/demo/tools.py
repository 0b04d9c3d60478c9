"""What the demo needs: PostgreSQL, Redis, Prometheus and a virtual environment. Installs what is missing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
_PACKAGES = {"postgres": "postgresql", "redis-server": "redis-server"}
# The suite of Debian with Prometheus 3, which the example is written for. Earlier ones have Prometheus 2.
_SUITE, _LATER_PACKAGES = "forky", ("prometheus", "promtool", "prometheus-alertmanager")
_LATER = HERE.parent / ".demo" / "debian"
_POLICY = Path("/usr/sbin/policy-rc.d")


class MissingToolError(Exception):
    """Something is not on this machine, and can't be put there."""


@dataclass(frozen=True)
class Tools:
    """Programs, by path."""

    postgres: str
    initdb: str
    redis: str
    prometheus: str
    alertmanager: str


def find() -> Tools:
    """Find the programs. Raises MissingToolError with the packages that provide them."""
    postgres, redis, prometheus, alertmanager = (
        _where("postgres"),
        _where("redis-server"),
        _prometheus(),
        _alertmanager(),
    )
    if not (postgres and redis and prometheus and alertmanager):
        lacking = [*missing(), *([] if prometheus else ["prometheus (3 or later)"])]
        lacking += [] if alertmanager else ["prometheus-alertmanager"]
        raise MissingToolError(f"expected these packages: {' '.join(lacking)}")
    return Tools(postgres, str(Path(postgres).with_name("initdb")), redis, prometheus, alertmanager)


def missing() -> list[str]:
    """Return the Debian packages whose programs are not installed."""
    return [package for program, package in _PACKAGES.items() if not _where(program)]


def install() -> None:
    """Install missing packages with apt-get, without starting services. Raises MissingToolError."""
    _install_packages()
    if not (_prometheus() and _alertmanager()):
        _fetch_prometheus()
    print(f"demo: {prometheus_version(_prometheus())}", flush=True)


def prometheus_version(program: str) -> str:
    """Return the name and the version of a Prometheus, such as `prometheus, version 3.5.3`; empty if it has none."""
    try:
        done = subprocess.run([program, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError:
        return ""
    found = re.match(r"prometheus, version [0-9.]+", done.stdout)
    return found[0] if found else ""


def _prometheus() -> str:
    """Return the path of a Prometheus 3 or later, empty if there is none."""
    for program in (shutil.which("prometheus") or "", str(_LATER / "bin" / "prometheus")):
        if (found := re.search(r"version (\d+)", prometheus_version(program))) and int(found[1]) >= 3:
            return program
    return ""


def _alertmanager() -> str:
    """Return the path of Alertmanager, the fetched one if there is one; empty if there is none."""
    fetched = _LATER / "bin" / "prometheus-alertmanager"
    return str(fetched) if fetched.exists() else shutil.which("prometheus-alertmanager") or ""


def _fetch_prometheus() -> None:
    """Fetch Prometheus 3 and Alertmanager from a later Debian; nothing is installed. Raises MissingToolError."""
    if not shutil.which("apt-get"):
        raise MissingToolError("this machine lacks Prometheus 3 or Alertmanager: install them, then run this again")
    print(f"demo: fetching Prometheus 3 and Alertmanager of Debian {_SUITE} into {_LATER}", flush=True)
    command = [str(HERE / "later-debian.sh"), str(_LATER), _SUITE, *_LATER_PACKAGES]
    if subprocess.run(command).returncode or not (_prometheus() and _alertmanager()):
        raise MissingToolError("Prometheus 3 or Alertmanager could not be fetched: install them, then run this again")


def _install_packages() -> None:
    packages = missing()
    if not packages:
        return
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if not shutil.which("apt-get") or (root and not shutil.which("sudo")):
        raise MissingToolError(f"this machine lacks {' '.join(packages)}: install them, then run this again")
    print(f"demo: installing {' '.join(packages)} with apt-get (as root; no service is started)", flush=True)
    options = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    with _no_services(root):
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            if subprocess.run([*root, "env", *options, *arguments], stdout=subprocess.DEVNULL).returncode:
                raise MissingToolError(
                    f"apt-get {arguments[0]} failed: install {' '.join(packages)}, then run this again"
                )


@contextlib.contextmanager
def _no_services(root: list[str]) -> Iterator[None]:
    """Keep Debian from starting a service when it installs it (see invoke-rc.d(8))."""
    if _POLICY.exists():
        yield
        return
    script = f"printf '#!/bin/sh\\nexit 101\\n' > {_POLICY} && chmod 755 {_POLICY}"
    subprocess.run([*root, "sh", "-c", script], check=True)
    try:
        yield
    finally:
        subprocess.run([*root, "rm", "-f", str(_POLICY)], check=True)


def environment(folder: Path, requirements: Path) -> Path:
    """Return the Python of a virtual environment, created again if the requirements changed."""
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    python, made = folder / "bin" / "python", folder / "made-of"
    if made.exists() and made.read_text() == wanted:
        return python
    print(f"demo: installing the API's requirements in {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "-r",
        str(requirements),
    ]
    for command in ([sys.executable, "-m", "venv", str(folder)], [str(python), *pip]):
        if subprocess.run(command).returncode:
            raise MissingToolError(f"this failed: {' '.join(command)}")
    made.write_text(wanted)
    return python


def _where(program: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else shutil.which(program) or ""
