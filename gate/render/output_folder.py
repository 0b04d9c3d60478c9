"""Write the reports into a folder, and delete those of an earlier run."""

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

# Bytes at the start of a file in which prodgate's own files are recognised.
_HEAD_SIZE = 64 * 1024


def remove_reports(folder: Path, keep: Collection[Path] = ()) -> None:
    """Delete reports left by an earlier run so that they cannot be mistaken for this run's.

    Files of `keep` stay. Raises OSError if the reports cannot be deleted, and FileExistsError, with nothing touched, if
    the folder holds anything that prodgate did not write.
    """
    kept_paths = {path.resolve() for path in keep}
    _refuse_foreign_files(folder, kept_paths)
    if (folder / FILE_NAMES["json"]).is_file():
        (folder / CHECKSUMS).write_bytes(b"")
    elif not is_unsealed(folder):
        (folder / CHECKSUMS).unlink(missing_ok=True)
    for name in [*FILE_NAMES.values(), PREDICATE, STATEMENT]:
        if (folder / name).resolve() not in kept_paths:
            (folder / name).unlink(missing_ok=True)


def _refuse_foreign_files(folder: Path, kept_paths: set[Path]) -> None:
    """Raise FileExistsError if a folder holds anything but an earlier run's reports and `kept_paths`."""
    if folder.is_symlink():
        raise FileExistsError(errno.EEXIST, "it is a symbolic link; name the folder itself with --out")
    if not folder.is_dir():
        return
    names = {*FILE_NAMES.values(), PREDICATE, STATEMENT, CHECKSUMS, FOLDER} if _is_of_run(folder) else set()
    for path in sorted(folder.iterdir()):
        target = path.resolve()
        is_own = path.name in names and not path.is_symlink() and path.is_dir() == (path.name == FOLDER)
        if not is_own and not any(kept.is_relative_to(target) for kept in kept_paths):
            why = (
                f"it holds {path.name}, which prodgate did not write; name another folder with --out, or move the file"
            )
            raise FileExistsError(errno.EEXIST, why)


def _is_of_run(folder: Path) -> bool:
    """Return whether a run wrote this folder: its report is there, or its checksums are."""
    report, checksums = folder / FILE_NAMES["json"], folder / CHECKSUMS
    if report.is_file():
        with report.open("rb") as file:
            return re.search(rb'"version"\s*:\s*"prodgate\.report/', file.read(_HEAD_SIZE)) is not None
    if not checksums.is_file():
        return False
    with checksums.open("rb") as file:
        return is_unsealed(folder) or re.search(rb"  report\.json$", file.read(_HEAD_SIZE), re.MULTILINE) is not None


def write_reports(report: Report, folder: Path, worker: RenderWorker | None = None) -> dict[str, Path]:
    """Write every format into a folder, `report.json` first, and return the files by format.

    A worker renders some formats at the same time. Raise ExceptionGroup at the end if formats failed; the others are
    written nevertheless.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = to_json(report)
    if worker:
        worker.submit(text.encode("utf-8", "replace"))
    written, errors = {}, []
    rendered = {"json": text.encode("utf-8", "replace")}
    for name, file in FILE_NAMES.items():
        try:
            path = folder / file
            path.write_bytes(rendered[name] if name in rendered else render_format(report, name))
            written[name] = path
            if name == "json":
                rendered = worker.result() if worker else {}
                # Render what report.json holds, which the worker and `prodgate render` see: JSON replaces lone
                # surrogates, for example.
                report = report if rendered else from_json(text, file)
        except Exception as error:  # noqa: BLE001 - a format that fails must not cost the other reports
            errors.append(error)
    if not errors:
        written |= write_seal(report, folder, list(FILE_NAMES.values()))
    if errors:
        raise ExceptionGroup("some reports could not be written", errors)
    return written
