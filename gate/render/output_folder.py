"""Writes the report into a folder, in every format; `report.json` first."""

from __future__ import annotations

import errno
import re
from collections.abc import Collection
from pathlib import Path

from gate.model import Report
from gate.render.formats import FILE_NAMES, render_format
from gate.render.worker import RenderWorker
from gate.report.seal import PREDICATE, STATEMENT, write_seal
from gate.report.serialization import from_json, to_json
from gate.runtime.evidence import CHECKSUMS, FOLDER, is_unsealed

_BEGINNING = 64 * 1024
"""Bytes of a file in which it is known again."""


def remove_reports(folder: Path, keep: Collection[Path] = ()) -> None:
    """Delete reports left by an earlier run so that they cannot be mistaken for this run's.

    Files of `keep` stay. Raises OSError if the reports cannot be deleted, and FileExistsError, with nothing touched, if
    the folder holds anything that prodgate did not write.
    """
    kept = {path.resolve() for path in keep}
    _refuse_others(folder, kept)
    if (folder / FILE_NAMES["json"]).is_file():
        (folder / CHECKSUMS).write_bytes(b"")
    elif not is_unsealed(folder):
        (folder / CHECKSUMS).unlink(missing_ok=True)
    for name in [*FILE_NAMES.values(), PREDICATE, STATEMENT]:
        if (folder / name).resolve() not in kept:
            (folder / name).unlink(missing_ok=True)


def _refuse_others(folder: Path, kept: set[Path]) -> None:
    """Raise FileExistsError if a folder holds anything but an earlier run's reports and the files of `kept`."""
    if folder.is_symlink():
        raise FileExistsError(errno.EEXIST, "it is a symbolic link; name the folder itself with --out")
    if not folder.is_dir():
        return
    known = {*FILE_NAMES.values(), PREDICATE, STATEMENT, CHECKSUMS, FOLDER} if _is_of_a_run(folder) else set()
    for path in sorted(folder.iterdir()):
        real = path.resolve()
        ours = path.name in known and not path.is_symlink() and path.is_dir() == (path.name == FOLDER)
        if not ours and not any(each.is_relative_to(real) for each in kept):
            why = (
                f"it holds {path.name}, which prodgate did not write; name another folder with --out, or move the file"
            )
            raise FileExistsError(errno.EEXIST, why)


def _is_of_a_run(folder: Path) -> bool:
    """Return whether a run has made a folder: its report is there, or was when the run began or ended."""
    report, sums = folder / FILE_NAMES["json"], folder / CHECKSUMS
    if report.is_file():
        with report.open("rb") as file:
            return re.search(rb'"version"\s*:\s*"prodgate\.report/', file.read(_BEGINNING)) is not None
    if not sums.is_file():
        return False
    with sums.open("rb") as file:
        return is_unsealed(folder) or re.search(rb"  report\.json$", file.read(_BEGINNING), re.MULTILINE) is not None


def write_reports(report: Report, folder: Path, helper: RenderWorker | None = None) -> dict[str, Path]:
    """Writes every format into a folder, and returns the files by format. One that fails does not keep the others.

    `helper` renders some of them meanwhile. Raises ExceptionGroup at the end for those that failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = to_json(report)
    if helper:
        helper.submit(text.encode("utf-8", "replace"))
    written, errors = {}, []
    made = {"json": text.encode("utf-8", "replace")}
    for name, file in FILE_NAMES.items():
        try:
            path = folder / file
            path.write_bytes(made[name] if name in made else render_format(report, name))
            written[name] = path
            if name == "json":
                made = helper.result() if helper else {}
                report = report if made else from_json(text, file)  # what it can't hold is in no other format either
        except Exception as error:  # noqa: BLE001 - a format that breaks must not cost the other reports
            errors.append(error)
    if not errors:
        written |= write_seal(report, folder, list(FILE_NAMES.values()))
    if errors:
        raise ExceptionGroup("some reports could not be written", errors)
    return written
