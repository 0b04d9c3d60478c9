"""docs/commands.md speaks of every command, in the words of the program."""

from __future__ import annotations

import re

from gate.__main__ import COMMANDS
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "commands.md"


def test_the_page_has_every_command() -> None:
    """The table of the page has each command with its summary, and no other."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert rows == {name: COMMANDS.import_module(name).SUMMARY for name in COMMANDS.kinds()}
