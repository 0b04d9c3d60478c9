"""The release: what it refuses, and the tags that it makes, in a real repository."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import gate
from tests.support.paths import ROOT

SCRIPTS = ROOT / ".github" / "release"
IMAGE = f"ghcr.io/org/prodgate-action@sha256:{'a' * 64}"


def git(folder: Path, *words: str) -> str:
    """Run git and return its output."""
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Create a checkout of one commit, with a bare repository as its origin."""
    origin, folder = tmp_path / "origin.git", tmp_path / "checkout"
    subprocess.run(["git", "init", "--quiet", "--bare", str(origin)], check=True)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(folder)], check=True)
    shutil.copy(ROOT / "action.yml", folder)
    (folder / "gate").mkdir()
    (folder / "gate" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    (folder / "CHANGELOG.md").write_text("## [1.2.3] - 2026-01-02\n\n## [1.2.2] - 2026-01-01\n")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", "One")
    git(folder, "remote", "add", "origin", str(origin))
    git(folder, "push", "--quiet", "origin", "main")
    return folder


def script(name: str, checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the release in a checkout."""
    return subprocess.run([str(SCRIPTS / name), *words], cwd=checkout, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_wheels(machine: str, tmp_path: Path) -> None:
    """Every package of the lock has a wheel for each machine that the image is built for, with the lock's hash."""
    made = [f"--platform={name}_{machine}" for name in ("manylinux2014", "manylinux_2_17", "manylinux_2_28")]
    kind = ["--python-version=3.13", "--implementation=cp", "--abi=cp313", "--abi=abi3", "--abi=none", *made]
    wants = ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(ROOT / "requirements.lock")]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *kind, *wants, "--dest", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    packages = re.findall(r"(?m)^[a-z0-9-]+==.*", (ROOT / "requirements.lock").read_text())
    wanted = [line for line in packages if "win32" not in line]
    assert len(list(tmp_path.glob("*.whl"))) == len(wanted) > 20


def test_the_tags(checkout: Path) -> None:
    """The version's tag and the major's lead to a manifest with the image's digest; the branch stays as it is."""
    before = git(checkout, "rev-parse", "main")
    assert script("tag.sh", checkout, "1.2.3", IMAGE).returncode == 0
    git(checkout, "fetch", "--quiet", "--tags", "--force", "origin")
    released = yaml.safe_load(git(checkout, "show", "v1.2.3:action.yml"))
    declared = yaml.safe_load((ROOT / "action.yml").read_text())
    assert released == {**declared, "runs": {**declared["runs"], "image": f"docker://{IMAGE}"}}
    assert git(checkout, "rev-parse", "v1") == git(checkout, "rev-parse", "v1.2.3")
    assert git(checkout, "rev-parse", "origin/main") == before


def test_the_major_version_moves(checkout: Path) -> None:
    """The major version's tag leads to the newest release."""
    assert script("tag.sh", checkout, "1.2.2", IMAGE).returncode == 0
    git(checkout, "checkout", "--quiet", "main")
    assert script("tag.sh", checkout, "1.2.3", IMAGE.replace("a" * 64, "b" * 64)).returncode == 0
    assert git(checkout, "ls-remote", "origin", "v1").split()[0] == git(checkout, "rev-parse", "v1.2.3")


@pytest.mark.parametrize(("released", "newest"), [("1.2.9", "1.10.0"), ("1.11.0", "1.11.0"), ("2.0.0", "1.10.0")])
def test_an_older_line(checkout: Path, released: str, newest: str) -> None:
    """A release of an older line, or of the next major version, does not take the tag of the major from the newest."""
    for version in ("1.9.0", "1.10.0", released):
        image = IMAGE.replace("a" * 64, hashlib.sha256(version.encode()).hexdigest())
        assert script("tag.sh", checkout, version, image).returncode == 0
        git(checkout, "checkout", "--quiet", "main")
    assert git(checkout, "ls-remote", "origin", f"refs/tags/v{released}") != ""
    assert git(checkout, "ls-remote", "origin", "v1").split()[0] == git(checkout, "rev-parse", f"v{newest}")


@pytest.mark.parametrize("image", ["Dockerfile", "ghcr.io/org/a:1.2.3", f"{IMAGE}\n  args: [x]", f"evil.io/{IMAGE}"])
def test_no_digest(checkout: Path, image: str) -> None:
    """Only an image with its digest is released."""
    assert script("tag.sh", checkout, "1.2.3", image).returncode == 1
    assert git(checkout, "tag") == ""


def test_a_version_that_can_be_released(checkout: Path) -> None:
    """The version of the code and of the changelog, not yet tagged."""
    for ref in ("refs/heads/main", "refs/heads/release/1.2"):
        done = script("check-version.sh", checkout, "1.2.3", ref)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("ref", ["refs/heads/topic", "refs/tags/main", "refs/heads/release", "refs/heads/main/x"])
def test_a_branch_that_is_not_released_from(checkout: Path, ref: str) -> None:
    """Only main and the branches of older lines are released from."""
    done = script("check-version.sh", checkout, "1.2.3", ref)
    assert done.returncode == 1
    assert "is neither main nor" in done.stderr


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("v1.2.3", "is no version"),
        ("1.2.3; id", "is no version"),
        ("1x2x3", "is no version"),
        ("1.2.2", "says another version"),
    ],
)
def test_a_version_that_cannot(checkout: Path, version: str, why: str) -> None:
    """What is wrong with it is said."""
    done = script("check-version.sh", checkout, version, "refs/heads/main")
    assert done.returncode == 1
    assert why in done.stderr


def test_a_version_that_is_there(checkout: Path) -> None:
    """A version is released once."""
    assert script("tag.sh", checkout, "1.2.3", IMAGE).returncode == 0
    done = script("check-version.sh", checkout, "1.2.3", "refs/heads/main")
    assert (done.returncode, done.stderr) == (1, "release: v1.2.3 is there already; a version is released once\n")


def test_the_version_in_the_code() -> None:
    """The release reads the version as it stands in the code."""
    assert f'__version__ = "{gate.__version__}"\n' in (ROOT / "gate" / "__init__.py").read_text()


@pytest.mark.parametrize("name", ["Dockerfile", "examples/veza/Dockerfile"])
def test_the_base_is_pinned(name: str) -> None:
    """An image is built from a base that its digest names, and from that one alone."""
    lines = (ROOT / name).read_text().splitlines()
    bases = [line.partition("=")[2] for line in lines if line.startswith("ARG BASE=")]
    assert len(bases) == 1
    assert re.fullmatch(r"debian:trixie-slim@sha256:[0-9a-f]{64}", bases[0])
    assert {line.split()[1] for line in lines if line.startswith("FROM ")} == {"${BASE}"}
