"""Seals a report folder: sums of every file, and an in-toto statement of what was tested and how it came out.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, with the predicate
https://in-toto.io/attestation/test-result/v0.1. `predicate.json` is what `actions/attest` takes as `predicate-path`.
Neither is signed here: who signs the statement binds the report, which binds all evidence.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from gate.model import Artifact, Decision, Report, Severity, Status
from gate.runtime.evidence import CHECKSUMS, FOLDER
from gate.verdict import decide

STATEMENT, PREDICATE, REPORT = "statement.intoto.json", "predicate.json", "report.json"
TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
_RESULTS = {Decision.GO: "PASSED", Decision.GO_WITH_RESERVATIONS: "WARNED", Decision.NO_GO: "FAILED"}
_IMAGE = re.compile(r"(.+)@sha256:([0-9a-f]{64})")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_CHUNK = 1 << 20
_ORDER = (Decision.GO, Decision.GO_WITH_RESERVATIONS, Decision.NO_GO)


def write_seal(report: Report, folder: Path, names: list[str]) -> dict[str, Path]:
    """Writes the predicate, the statement and the sums of all files of a report. `names` are its formats' files."""
    for name, content in _statements(report, sha256(folder / REPORT)).items():
        (folder / name).write_bytes(content)
    (folder / CHECKSUMS).write_bytes(_sums(report, folder, [*names, PREDICATE, STATEMENT]))
    return {"predicate": folder / PREDICATE, "statement": folder / STATEMENT, "sums": folder / CHECKSUMS}


def sha256(path: Path) -> str:
    """The SHA-256 of a file in hex, in bounded memory. Raises OSError."""
    made = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            made.update(chunk)
    return made.hexdigest()


def artifacts(report: Report) -> list[Artifact]:
    """Every raw file that a report lists."""
    found = [*report.artifacts, *(artifact for target in report.targets for artifact in target.artifacts)]
    for item in report.items:
        found += item.outcome.evidence.artifacts
        found += [artifact for row in item.outcome.rows for artifact in row.evidence.artifacts]
    return found


def _sums(report: Report, folder: Path, names: list[str]) -> bytes:
    lines = [f"{sha256(folder / name)}  {name}\n" for name in names]
    lines += [f"{artifact.sha256}  {artifact.path}\n" for artifact in artifacts(report)]
    return "".join(lines).encode()


def _statements(report: Report, digest: str) -> dict[str, bytes]:
    predicate = _predicate(report)
    statement = {
        "_type": TYPE,
        "subject": _subjects(report, digest),
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }
    return {PREDICATE: _json(predicate), STATEMENT: _json(statement)}


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=True) + "\n").encode()


def _predicate(report: Report) -> dict[str, Any]:
    passed = [item.id for item in report.items if item.status is Status.PASS]
    failed = [
        item.id
        for item in report.items
        if item.severity is Severity.BLOCKING and item.status not in (Status.PASS, Status.WAIVED)
    ]
    others = {*passed, *failed}
    made = {
        "result": _RESULTS[report.verdict.decision],
        "configuration": [{"name": file.path, "digest": {"sha256": file.sha256}} for file in report.artifacts],
        "url": report.source.url,
        "passedTests": passed,
        "warnedTests": [item.id for item in report.items if item.id not in others],
        "failedTests": failed,
    }
    return {key: value for key, value in made.items() if value != ""}


def _subjects(report: Report, digest: str) -> list[dict[str, Any]]:
    """The commit and the images; each carries the report's sum, so that who signs one signs the other.

    A checkout with changes of its own is not the commit: what was found in it is not said of the commit.
    """
    annotations = {REPORT: f"sha256:{digest}"}
    found: list[dict[str, Any]] = []
    if _COMMIT.fullmatch(report.source.commit) and not report.source.changed:
        name = f"git+https://github.com/{report.source.repository}" if report.source.repository else "commit"
        found.append({"name": name, "digest": {"gitCommit": report.source.commit}, "annotations": annotations})
    for image in report.source.images:
        if named := _IMAGE.fullmatch(image):
            found.append({"name": named[1], "digest": {"sha256": named[2]}, "annotations": annotations})
    return found or [{"name": REPORT, "digest": {"sha256": digest}}]


def is_image(text: str) -> bool:
    """Whether a text names an image by its digest."""
    return _IMAGE.fullmatch(text) is not None


def verify_seal(report: Report, folder: Path, names: list[str]) -> list[str]:
    """What is not as it was when the report was sealed, a line each; none where every byte is the same."""
    files = [*names, PREDICATE, STATEMENT, CHECKSUMS]
    found = [*_artifact_problems(report, folder), *_unlisted(report, folder, files), *_verdict_problems(report)]
    for name in files:
        if not _is_file(folder / name):
            found.append(f"{name} is missing")
    if found:
        return found
    for name, content in _statements(report, sha256(folder / REPORT)).items():
        if (folder / name).read_bytes() != content:
            found.append(f"{name} is not what {REPORT} makes of it")
    if (folder / CHECKSUMS).read_bytes() != _sums(report, folder, [*names, PREDICATE, STATEMENT]):
        found += list(_changed(folder)) or [f"{CHECKSUMS} was changed"]
    return found


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _artifact_problems(report: Report, folder: Path) -> Iterator[str]:
    if (folder / FOLDER).is_symlink():
        yield f"{FOLDER} leads elsewhere"
        return
    for artifact in artifacts(report):
        parts = PurePosixPath(artifact.path).parts
        if parts[:1] != (FOLDER,) or len(parts) != 2 or ".." in parts:
            yield f"{artifact.path} is no path of evidence"
        elif not _is_file(folder / artifact.path):
            yield f"{artifact.path} is missing"
        elif sha256(folder / artifact.path) != artifact.sha256:
            yield f"{artifact.path} was changed"
        elif (folder / artifact.path).stat().st_size != artifact.size:
            yield f"{artifact.path} is listed with another size"


def _unlisted(report: Report, folder: Path, files: list[str]) -> Iterator[str]:
    """What stands in the folder and is no file of the report; of a folder in it its name alone."""
    listed = {*files, FOLDER, *(artifact.path for artifact in artifacts(report))}
    inside = (folder / FOLDER).iterdir() if (folder / FOLDER).is_dir() else ()
    for path in sorted([*folder.iterdir(), *inside]):
        name = path.relative_to(folder).as_posix()
        if name not in listed:
            yield f"{name} is not in the report"


def _verdict_problems(report: Report) -> Iterator[str]:
    """A verdict may be stricter than the items make it, because others spoke against it; it can't be kinder."""
    made = decide(
        report.sections,
        waivers=report.waivers,
        today=report.started.date(),
        ended=report.ended,
        left_out=report.unselected_items,
    )
    if _ORDER.index(report.verdict.decision) < _ORDER.index(made.decision):
        yield f"the verdict is {report.verdict.decision}, where the items make it {made.decision}"


def _changed(folder: Path) -> Iterator[str]:
    for line in (folder / CHECKSUMS).read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        if name and "/" not in name and _is_file(folder / name) and sha256(folder / name) != digest:
            yield f"{name} was changed"
