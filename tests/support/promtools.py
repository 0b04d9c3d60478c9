"""Every promtool that is installed: the one on the PATH, and those that `make parts` has unpacked."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from msgspec import Struct

from gate.prometheus.config_schema import DISCOVERY
from gate.prometheus.releases import Release, version
from tests.support.paths import ROOT

_CACHE = ROOT / ".cache" / "prometheus"
_AT_ONCE = 300
_REMOTE = ("azuread", "google_iam")


class Promtool(Struct, frozen=True):
    """One promtool."""

    path: str
    release: Release

    def refused(self, kind: Literal["config", "rules"], folder: Path, texts: Sequence[bytes]) -> list[str]:
        """Return why it refuses each text, "" if it takes it. It is asked for many files at once."""
        names = [f"{number}.yml" for number in range(len(texts))]
        for name, text in zip(names, texts, strict=True):
            (folder / name).write_bytes(text)
        found: dict[str, str] = {}
        for start in range(0, len(names), _AT_ONCE):
            found |= self._refused(kind, folder, names[start : start + _AT_ONCE])
        return [found[name] for name in names]

    def left_out(self, folder: Path) -> frozenset[str]:
        """Return what its build lacks: the packages of a distribution leave out some clouds, whatever the version."""
        frames = {key: f"{{scrape_configs: [{{job_name: a, {key}: []}}]}}" for key in DISCOVERY}
        frames |= {key: f"{{remote_write: [{{url: x, {key}: ~}}]}}" for key in _REMOTE}
        refused = self.refused("config", folder, [frame.encode() for frame in frames.values()])
        return frozenset(key for key, why in zip(frames, refused, strict=True) if "not found in type" in why)

    def _refused(self, kind: str, folder: Path, names: list[str]) -> dict[str, str]:
        options = ["--lint=none"] if kind == "rules" else []
        done = subprocess.run([self.path, "check", kind, *options, *names], cwd=folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False)  # fmt: skip
        found: dict[str, str] = {}
        name = ""
        for line in done.stdout.splitlines():
            if line.removeprefix("Checking ") in names:
                name = line.removeprefix("Checking ")
                found[name] = ""
            elif name and ("FAILED" in line or found[name]) and "SUCCESS" not in line:
                found[name] += f"{line} "
        return found


@cache
def installed() -> tuple[Promtool, ...]:
    """Return all that there are, one of each version."""
    paths = [shutil.which("promtool") or "", *map(str, sorted(_CACHE.glob("*/bin/promtool")))]
    found = {}
    for path in filter(None, paths):
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        release = re.search(r"version (\d+\.\d+)", done.stdout + done.stderr)
        assert release, path
        found[release[1]] = Promtool(path, Release(version(release[1])))
    return tuple(found.values())
