"""The amtool and the Alertmanager that `make parts` has unpacked."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from gate.alertmanager.matchers import go_quote
from tests.support.paths import ROOT

_BIN = ROOT / ".cache" / "prometheus" / "forky" / "bin"
AMTOOL = _BIN / "amtool"
ALERTMANAGER = _BIN / "prometheus-alertmanager"
_AT_ONCE = 500


def valid(folder: Path, texts: Sequence[str]) -> list[bool]:
    """Return whether amtool takes each file. A crash of amtool counts as a refusal."""
    paths = [folder / f"{number:05}.yml" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    found: dict[str, bool] = {}
    waiting = paths
    while waiting:
        done = subprocess.run(
            [AMTOOL, "check-config", *waiting[:_AT_ONCE]], capture_output=True, text=True, check=False
        )
        parts = re.split(r"^Checking '", done.stdout, flags=re.MULTILINE)[1:]
        judged = {part.split("'", 1)[0]: "FAILED" not in part for part in parts}
        if done.returncode not in (0, 1):
            judged[list(judged)[-1]] = False
        assert judged, done.stderr[-2000:]
        found |= judged
        waiting = [path for path in waiting if str(path) not in found]
    return [found[str(path)] for path in paths]


def receivers(path: Path, labels: Mapping[str, str]) -> list[str]:
    """Return the receivers to which amtool routes some labels."""
    words = [f"{go_quote(name)}={go_quote(value)}" for name, value in labels.items()]
    done = subprocess.run([AMTOOL, "config", "routes", "test", f"--config.file={path}", *words], capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1].split(",")
