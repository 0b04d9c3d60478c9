"""Read and write files that hold only waivers, for `--file` to merge into a checklist."""

from __future__ import annotations

import json
from pathlib import Path

from gate.checklist.diagnostics import to_diagnostics
from gate.checklist.errors import ChecklistError
from gate.checklist.models import WaiverSpec
from gate.checklist.variables import interpolate
from gate.checklist.yaml_reader import parse_yaml, read_yaml, to_plain_data
from gate.decode.structs import ValidationError, decode_all_errors
from gate.model import FrozenStruct

_HEAD = """\
# Written by `prodgate waive`. Merge it with a second `--file`. `prodgate waive --prune` removes what is stale.
"""


class WaiverFile(FrozenStruct):
    """The content of a file of waivers."""

    waivers: list[WaiverSpec] = []


def read_waivers(path: Path) -> list[WaiverSpec]:
    """Return the waivers of a file; none if it does not exist. Raise ChecklistError with all its errors."""
    if not path.exists():
        return []
    tree, problems = parse_yaml(read_yaml(path, str(path)), str(path), lambda value: interpolate(value, {}))
    if problems:
        raise ChecklistError(problems)
    data, values, keys = to_plain_data(tree)
    try:
        return decode_all_errors(data, WaiverFile).waivers
    except ValidationError as error:
        raise ChecklistError(to_diagnostics(error.issues, values, keys)) from error


def write_waivers(path: Path, waivers: list[WaiverSpec]) -> None:
    """Write waivers to a file. Raise OSError if that is not possible."""
    lines = ["waivers:" if waivers else "waivers: []"]
    for waiver in waivers:
        fields = [("item", waiver.item), ("reason", waiver.reason), ("owner", waiver.owner)]
        fields += [("issue", waiver.issue or ""), ("approved_by", waiver.approved_by or "")]
        pairs = [f"{name}: {_quoted(value)}" for name, value in fields if value]
        pairs.append(f"expires: {waiver.expires.isoformat()}")
        lines += [f"  {'-' if number == 0 else ' '} {pair}" for number, pair in enumerate(pairs)]
    path.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")


def _quoted(text: str) -> str:
    """Return a text quoted as JSON, which is YAML, with dollars doubled so that no variable is replaced."""
    return json.dumps(text.replace("$", "$$"), ensure_ascii=False)
