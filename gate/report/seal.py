"""Seal a report folder with the checksums of its files and an in-toto statement of what was tested, and verify it.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, with the predicate
https://in-toto.io/attestation/test-result/v0.1. `predicate.json` is what `actions/attest` takes as `predicate-path`.
Neither is signed here. A signature of the statement covers the report, whose checksum is in it; the report holds the
checksums of all evidence.
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
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
_RESULTS = {Decision.GO: "PASSED", Decision.GO_WITH_RESERVATIONS: "WARNED", Decision.NO_GO: "FAILED"}
_IMAGE = re.compile(r"(.+)@sha256:([0-9a-f]{64})")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_CHUNK_SIZE = 1 << 20
# From the most to the least lenient.
_DECISIONS = (Decision.GO, Decision.GO_WITH_RESERVATIONS, Decision.NO_GO)


def write_seal(report: Report, folder: Path, names: list[str]) -> dict[str, Path]:
    """Write the predicate, the statement and the checksums of all files of a report, and return their paths by kind.

    `names` are the files of the report's formats, which are in `folder` already.
    """
    for name, content in _statements(report, sha256(folder / REPORT)).items():
        (folder / name).write_bytes(content)
    (folder / CHECKSUMS).write_bytes(_checksums(report, folder, [*names, PREDICATE, STATEMENT]))
    return {"predicate": folder / PREDICATE, "statement": folder / STATEMENT, "sums": folder / CHECKSUMS}


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex, in bounded memory. Raise OSError if it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_SIZE):
            digest.update(chunk)
    return digest.hexdigest()


def artifacts(report: Report) -> list[Artifact]:
    """Return every evidence file that a report lists."""
    listed = [*report.artifacts, *(artifact for target in report.targets for artifact in target.artifacts)]
    for item in report.items:
        listed += item.outcome.evidence.artifacts
        listed += [artifact for row in item.outcome.rows for artifact in row.evidence.artifacts]
    return listed


def _checksums(report: Report, folder: Path, names: list[str]) -> bytes:
    lines = [f"{sha256(folder / name)}  {name}\n" for name in names]
    lines += [f"{artifact.sha256}  {artifact.path}\n" for artifact in artifacts(report)]
    return "".join(lines).encode()


def _statements(report: Report, digest: str) -> dict[str, bytes]:
    predicate = _predicate(report)
    statement = {
        "_type": STATEMENT_TYPE,
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
    not_warned = {*passed, *failed}
    predicate = {
        "result": _RESULTS[report.verdict.decision],
        "configuration": [{"name": file.path, "digest": {"sha256": file.sha256}} for file in report.artifacts],
        "url": report.source.url,
        "passedTests": passed,
        "warnedTests": [item.id for item in report.items if item.id not in not_warned],
        "failedTests": failed,
    }
    return {key: value for key, value in predicate.items() if value != ""}


def _subjects(report: Report, digest: str) -> list[dict[str, Any]]:
    """Return the commit and the images that were tested, or the report itself if none is known.

    Each carries the checksum of the report, so that a signature of the statement covers the report too.
    """
    annotations = {REPORT: f"sha256:{digest}"}
    subjects: list[dict[str, Any]] = []
    # A modified checkout is not the commit: its result must not be attested for the commit.
    if _COMMIT.fullmatch(report.source.commit) and not report.source.changed:
        name = f"git+https://github.com/{report.source.repository}" if report.source.repository else "commit"
        subjects.append({"name": name, "digest": {"gitCommit": report.source.commit}, "annotations": annotations})
    for image in report.source.images:
        if match := _IMAGE.fullmatch(image):
            subjects.append({"name": match[1], "digest": {"sha256": match[2]}, "annotations": annotations})
    return subjects or [{"name": REPORT, "digest": {"sha256": digest}}]


def is_image(text: str) -> bool:
    """Return whether a text names an image by its digest."""
    return _IMAGE.fullmatch(text) is not None


def verify_seal(report: Report, folder: Path, names: list[str]) -> list[str]:
    """Return the differences between a report folder and its seal, a line each; [] if every byte is the same."""
    files = [*names, PREDICATE, STATEMENT, CHECKSUMS]
    problems = [*_artifact_problems(report, folder), *_unlisted_files(report, folder, files)]
    problems += _verdict_problems(report)
    for name in files:
        if not _is_file(folder / name):
            problems.append(f"{name}: missing")
    # What follows reads these files.
    if problems:
        return problems
    for name, content in _statements(report, sha256(folder / REPORT)).items():
        if (folder / name).read_bytes() != content:
            problems.append(f"{name}: does not match {REPORT}")
    if (folder / CHECKSUMS).read_bytes() != _checksums(report, folder, [*names, PREDICATE, STATEMENT]):
        problems += list(_changed_files(folder)) or [f"{CHECKSUMS}: changed"]
    return problems


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _artifact_problems(report: Report, folder: Path) -> Iterator[str]:
    if (folder / FOLDER).is_symlink():
        yield f"{FOLDER}: a symbolic link, expected a folder"
        return
    for artifact in artifacts(report):
        parts = PurePosixPath(artifact.path).parts
        if parts[:1] != (FOLDER,) or len(parts) != 2 or ".." in parts:
            yield f"{artifact.path}: not a path of an evidence file"
        elif not _is_file(folder / artifact.path):
            yield f"{artifact.path}: missing"
        elif sha256(folder / artifact.path) != artifact.sha256:
            yield f"{artifact.path}: changed"
        elif (folder / artifact.path).stat().st_size != artifact.size:
            yield f"{artifact.path}: the report lists another size"


def _unlisted_files(report: Report, folder: Path, files: list[str]) -> Iterator[str]:
    """Yield a problem for each file of the folder that is not part of the report; for a subfolder, only its name."""
    listed = {*files, FOLDER, *(artifact.path for artifact in artifacts(report))}
    inside = (folder / FOLDER).iterdir() if (folder / FOLDER).is_dir() else ()
    for path in sorted([*folder.iterdir(), *inside]):
        name = path.relative_to(folder).as_posix()
        if name not in listed:
            yield f"{name}: not part of the report"


def _verdict_problems(report: Report) -> Iterator[str]:
    """Yield a problem if the verdict is more lenient than the items allow."""
    # It may be stricter: a weakened checklist or a fault that could not be reverted are not items.
    recomputed = decide(
        report.sections,
        waivers=report.waivers,
        today=report.started.date(),
        ended=report.ended,
        left_out=report.unselected_items,
    )
    if _DECISIONS.index(report.verdict.decision) < _DECISIONS.index(recomputed.decision):
        yield f"verdict: {report.verdict.decision}, but the items give {recomputed.decision}"


def _changed_files(folder: Path) -> Iterator[str]:
    for line in (folder / CHECKSUMS).read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        if name and "/" not in name and _is_file(folder / name) and sha256(folder / name) != digest:
            yield f"{name}: changed"
