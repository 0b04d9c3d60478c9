"""Extract the files and commands of a documentation page and run them in order, as a reader would."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.support.paths import ROOT
from tests.support.services import free_port

_FILE = re.compile(r"\b(Save|Append)\b.*?\b(?:as|to) `([^`]+)`", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text and the prose between it and the block before it."""

    language: str
    text: str
    prose: str

    @property
    def action(self) -> str:
        """Return `Save` or `Append` if the prose asks to write the block to a file, else an empty string."""
        found = _FILE.findall(self.prose)
        return found[-1][0] if found else ""

    @property
    def path(self) -> str:
        """Return the path of the file that the block is written to, or an empty string."""
        found = _FILE.findall(self.prose)
        return found[-1][1] if found else ""


def blocks(page: str, heading: str = "") -> list[Block]:
    """Return the fenced blocks of a page below ROOT, or those of one level-two section."""
    text = (ROOT / page).read_text()
    if heading:
        text = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found, prose = [], ""
    for token in MarkdownIt().parse(text):
        if token.type == "fence":
            found.append(Block(token.info, token.content, prose))
            prose = ""
        elif token.type == "inline":
            prose += token.content + "\n"
    return found


def write(block: Block, folder: Path) -> None:
    """Save or append a block to the file that its prose names."""
    path = folder / block.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a" if block.action == "Append" else "w") as file:
        file.write(block.text)


class Reader:
    """A reader who works through a page in an empty folder.

    Ports of the page are replaced by free ones, because the machine of the tests may use them already.
    """

    def __init__(self, folder: Path, *ports: int) -> None:
        self.folder = folder
        self.ports = {str(port): str(free_port()) for port in ports}
        self.output = ""

    def follow(self, block: Block) -> None:
        """Write the block to its file, run its commands, or expect its lines in the output of the last commands."""
        for port, free in self.ports.items():
            block = Block(block.language, re.sub(rf"\b{port}\b", free, block.text), block.prose)
        if block.action:
            write(block, self.folder)
        elif block.language == "sh":
            self.output = "".join(self._run(line) for line in block.text.splitlines())
        elif block.language == "text":
            missing = [line for line in block.text.splitlines() if line not in self.output]
            assert missing == [], self.output

    def _run(self, line: str) -> str:
        """Run one `prodgate` command with the variables in front of it and return its output."""
        words = shlex.split(line, comments=True)
        first = words.index("prodgate")
        variables = dict(word.split("=", 1) for word in words[:first])
        done = subprocess.run(
            [sys.executable, "-m", "gate", *words[first + 1 :]],
            cwd=self.folder,
            env={**_environment(self.folder), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return f"$ {line}\n{done.stdout}{done.stderr}exit code {done.returncode}\n"


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a laptop: no CI, and a state folder of its own."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
