"""The action's container, from `docker run` to its exit, beside a container of the same image that does nothing.

Also the size of the image, and of what the gate adds to its base. Usage: `python bench/container.py [ROUNDS]`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import ROOT, Program, in_turns

sys.path.insert(0, str(ROOT))
from tests.support import images

CHECKLIST = """version: 1
service: bench
sections:
  - id: bench
    title: Bench
    items:
      - {id: bench.file, title: The checklist is there, file: {path: prodgate.yml, exists: true}}
"""


def size(tag: str) -> float:
    """Return an image's size in MB, as the engine counts it."""
    command = ["docker", "image", "inspect", "--format", "{{.Size}}", tag]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 10**6


def main() -> None:
    """Measure the size of the image and the time of a run in it."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    image = images.action()
    with tempfile.TemporaryDirectory(prefix="prodgate-bench-") as name:
        folder = Path(name)
        (folder / "prodgate.yml").write_text(CHECKLIST)
        start = ["docker", "run", "--rm", "--volume", f"{folder}:/github/workspace", "--workdir", "/github/workspace"]
        programs = [
            Program("the action, one `file` item", [*start, image, "run"]),
            Program("the same image, nothing done", [*start, "--entrypoint", "/bin/true", image]),
        ]
        taken = in_turns(programs, folder, rounds)
        subprocess.run([*start, "--entrypoint", "/bin/rm", image, "-rf", "prodgate-out"], check=True)
    for name, one in taken.items():
        print(f"  {name:36} {one.seconds:8.2f} s")
    whole, below = size(image), size(images.base())
    print(f"  {'image':36} {whole:8.0f} MB, of which the base of the tests {below:.0f} MB")


if __name__ == "__main__":
    main()
