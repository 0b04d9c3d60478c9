"""The proof: raw evidence as files, sums of every file, an in-toto statement, and `prodgate verify`."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import gate
from gate.checks.attempts import run_check
from gate.checks.base import Attachment, Check, CheckResult, passed
from gate.checks.context import CheckContext
from gate.checks.entry import CheckEntry
from gate.core.messages import msg
from gate.core.override import override
from gate.redaction.secrets import Redactor
from gate.render.formats import FILE_NAMES
from gate.render.output_folder import write_reports
from gate.report.seal import artifacts, write_seal
from gate.report.serialization import read_report
from gate.runtime.evidence import FILE_LIMIT, FILES_PER_ITEM, EvidenceStore
from tests.support import reports
from tests.support.paths import ROOT

CHECKLIST = """\
version: 1
service: shop
environment: staging
sections:
  - id: docs
    title: Documents
    items:
      - {id: docs.readme, title: Readme, file: {path: README.md, contains: shop}}
      - {id: docs.runbook, title: Runbook, severity: advisory, file: {path: runbook.md, exists: true}}
"""
IMAGE = "ghcr.io/me/shop@sha256:" + "0123456789abcdef" * 4


def prodgate(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    known = {"PATH": os.environ["PATH"], "HOME": str(folder), **environment}
    command = [sys.executable, "-m", "gate", *words]
    path = {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=known | path, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """Run the gate on a commit, with an image and a secret in the environment, and return the folder."""
    (tmp_path / "prodgate.yml").write_text(CHECKLIST)
    (tmp_path / "README.md").write_text("the shop, hunter2-secret\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    done = prodgate(tmp_path, "run", "--out", "out", "--image", IMAGE, DB_PASSWORD="hunter2-secret")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return tmp_path


def statement(folder: Path) -> dict[str, Any]:
    """Return the statement of a run."""
    return dict(json.loads((folder / "out/statement.intoto.json").read_text()))


def test_evidence_is_listed_with_its_sums(ran: Path) -> None:
    """Every raw file is listed in the report with its size and SHA-256, and every one that is listed is there."""
    listed = {artifact.path: artifact for artifact in artifacts(read_report(ran / "out/report.json"))}
    found = {f"evidence/{path.name}": path.read_bytes() for path in (ran / "out/evidence").iterdir()}
    assert listed.keys() == found.keys()
    assert {path: hashlib.sha256(content).hexdigest() for path, content in found.items()} == {
        path: artifact.sha256 for path, artifact in listed.items()
    }
    assert "evidence/docs.readme.request.txt" in found
    assert found["evidence/checklist.prodgate.yml"] == CHECKLIST.encode()


def test_no_secret_is_in_any_file(ran: Path) -> None:
    """A secret of the environment that a check read is in no file of the folder."""
    assert [
        path for path in (ran / "out").rglob("*") if path.is_file() and b"hunter2-secret" in path.read_bytes()
    ] == []


def test_the_statement_speaks_of_the_commit_and_the_image(ran: Path) -> None:
    """The statement has in-toto's form; its subjects are the commit and the image, bound to the report by its sum."""
    made = statement(ran)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ran, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert made["_type"] == "https://in-toto.io/Statement/v1"
    assert made["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert [subject["digest"] for subject in made["subject"]] == [
        {"gitCommit": commit},
        {"sha256": IMAGE.rpartition(":")[2]},
    ]
    digest = hashlib.sha256((ran / "out/report.json").read_bytes()).hexdigest()
    assert made["subject"][0]["annotations"] == {"report.json": f"sha256:{digest}"}
    assert made["predicate"] == json.loads((ran / "out/predicate.json").read_text())


def test_the_predicate_says_how_it_came_out(ran: Path) -> None:
    """Passed, warned and failed items by id, and what was run by its sum."""
    predicate = statement(ran)["predicate"]
    assert (predicate["result"], predicate["passedTests"]) == ("WARNED", ["docs.readme"])
    assert (predicate["warnedTests"], predicate["failedTests"]) == (["docs.runbook"], [])
    digest = {"sha256": hashlib.sha256(CHECKLIST.encode()).hexdigest()}
    assert predicate["configuration"] == [{"name": "evidence/checklist.prodgate.yml", "digest": digest}]


def test_sha256sum_agrees(ran: Path) -> None:
    """The sums are in the form that `sha256sum --check` reads."""
    done = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=ran / "out", capture_output=True)
    assert done.returncode == 0


def test_verify_agrees_with_what_was_not_touched(ran: Path) -> None:
    """A folder that nobody touched is verified."""
    done = prodgate(ran, "verify", "out")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].endswith("are unchanged; the verdict is GO with reservations")


def test_one_changed_byte_is_found_wherever_it_is(ran: Path) -> None:
    """One bit of one byte, in the middle of any file of the folder, makes verify fail and say a file's name."""
    files = sorted(path for path in (ran / "out").rglob("*") if path.is_file())
    assert len(files) >= 11
    silent = []
    for path in files:
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        done = prodgate(ran, "verify", "out")
        if done.returncode not in (1, 2) or "Traceback" in done.stderr or not (done.stdout + done.stderr).strip():
            silent.append(path.name)
        path.write_bytes(content)
    assert silent == []
    assert prodgate(ran, "verify", "out").returncode == 0


def test_a_file_that_is_gone_or_new_is_found(ran: Path) -> None:
    """A file that is missing, one that nobody listed, and a link in place of a file are found by name."""
    readme = ran / "out/evidence/docs.readme.request.txt"
    content = readme.read_bytes()
    readme.unlink()
    assert "docs.readme.request.txt: missing" in prodgate(ran, "verify", "out").stdout
    (ran / "elsewhere").write_bytes(content)
    readme.symlink_to(ran / "elsewhere")
    assert "docs.readme.request.txt: missing" in prodgate(ran, "verify", "out").stdout
    readme.unlink()
    readme.write_bytes(content)
    for name in ("out/evidence/more.txt", "out/extra.txt", "out/report2.html", "out/evidence2/a.txt"):
        (ran / name).parent.mkdir(exist_ok=True)
        (ran / name).write_text("x")
    found = prodgate(ran, "verify", "out").stdout.splitlines()
    assert [line.removeprefix("❌ ") for line in found[:-1]] == [
        f"{name}: not part of the report" for name in ("evidence/more.txt", "evidence2", "extra.txt", "report2.html")
    ]


def test_evidence_that_leads_elsewhere_is_found(ran: Path) -> None:
    """A link in place of the folder of evidence is found, even where all that it leads to is the same."""
    (ran / "out/evidence").rename(ran / "moved")
    (ran / "out/evidence").symlink_to(ran / "moved")
    done = prodgate(ran, "verify", "out")
    assert done.returncode == 1
    assert "evidence: a symbolic link" in done.stdout


@pytest.mark.parametrize("version", ["0.0.0", gate.__version__])
def test_a_page_that_says_something_else_is_found(ran: Path, version: str) -> None:
    """A page that was replaced is found, though all sums are right, and whatever version is said to have written it."""
    out = ran / "out"
    report = read_report(out / "report.json").replace(gate=version)
    write_reports(report, out)
    (out / "report.html").write_text("<h1>GO</h1>")
    write_seal(report, out, list(FILE_NAMES.values()))
    done = prodgate(ran, "verify", "out")
    assert done.returncode == 1
    assert "report.html: does not match report.json" in done.stdout
    assert ("verify it with that version" in done.stdout) == (version != gate.__version__)


def test_another_version_that_writes_the_same_is_enough(ran: Path) -> None:
    """A report of another version is verified where this one would write the same."""
    write_reports(read_report(ran / "out/report.json").replace(gate="0.0.0"), ran / "out")
    assert prodgate(ran, "verify", "out").returncode == 0


def test_a_changed_checkout_is_not_the_commit(ran: Path) -> None:
    """What was found in a checkout with changes is not said of the commit, and every reader is told so."""
    (ran / "README.md").write_text("the shop, and more\n")
    done = prodgate(ran, "run", "--out", "out", "--image", IMAGE)
    assert "This speaks of a checkout that is not the commit: README.md was changed" in done.stdout
    assert [subject["digest"] for subject in statement(ran)["subject"]] == [{"sha256": IMAGE.rpartition(":")[2]}]
    assert prodgate(ran, "verify", "out").returncode == 0


def test_a_report_that_was_made_kinder_is_found(tmp_path: Path) -> None:
    """Who changes the verdict, and seals the folder again, still contradicts the items."""
    down = reports.all_down("en")
    kinder = down.replace(verdict=reports.go().verdict)
    write_reports(kinder, tmp_path / "out")
    done = prodgate(tmp_path, "verify", "out")
    assert done.returncode == 1
    assert "verdict: GO, but the items give NO-GO" in done.stdout


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "evidence/../../x", "evidence/a/b", "report.json", "evidence"])
def test_a_path_that_leads_elsewhere_is_found(tmp_path: Path, path: str) -> None:
    """A report from a stranger cannot make verify read outside of its own evidence."""
    report = reports.go()
    artifact = {"path": path, "size": 1, "sha256": "0" * 64}
    data = msgspec.to_builtins(report) | {"artifacts": [artifact]}
    (tmp_path / "out").mkdir()
    (tmp_path / "out/report.json").write_text(json.dumps(data))
    assert f"{path}: not a path of an evidence file" in prodgate(tmp_path, "verify", "out").stdout


@pytest.mark.parametrize("content", ["", "{}", "[]", "nonsense", '{"version": "prodgate.report/9"}'])
def test_a_folder_without_a_report_is_said_to_be_so(tmp_path: Path, content: str) -> None:
    """What is no report is a wrong call, in one line."""
    (tmp_path / "report.json").write_text(content)
    done = prodgate(tmp_path, "verify", ".")
    assert (done.returncode, len(done.stderr.splitlines()), done.stderr[:9]) == (2, 1, "prodgate:")


@pytest.mark.parametrize("report", [reports.all_down, reports.go, reports.reserved, reports.hostile])
def test_every_report_verifies_as_it_was_written(tmp_path: Path, report: Any) -> None:
    """Every format is made from report.json alone, so rendering it again gives the same bytes, hostile text or not."""
    write_reports(report("fr"), tmp_path / "out")
    done = prodgate(tmp_path, "verify", "out")
    assert (done.returncode, done.stderr) == (0, "")


def strict(text: str) -> Any:
    """JSON without the NaN that Python would take."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("report", [reports.go, reports.hostile])
def test_the_document_is_json_as_others_read_it(tmp_path: Path, report: Any) -> None:
    """report.json has no NaN and no infinity in it, whatever a metric says."""
    write_reports(report("en"), tmp_path / "out")
    assert strict((tmp_path / "out/report.json").read_text(encoding="utf-8"))["version"] == "prodgate.report/1"


class Attaching(Check[None]):
    """A check that keeps a response of its own."""

    kind = "attaching"
    summary = "attaches"

    @override
    def describe(self, context: CheckContext) -> str:
        return "GET /"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        return "curl /"

    @override
    def observe(self, context: CheckContext) -> None:
        return None

    @override
    def judge(self, observation: None) -> CheckResult:
        return passed(msg("seen"), response="short", attachments=(Attachment("response.bin", b"\x00\xff" * 10_000),))


def test_attachments_of_a_check_are_kept(tmp_path: Path) -> None:
    """What a check attaches is a file of its own, byte by byte, beside its question and its answer."""
    store = EvidenceStore(tmp_path, Redactor())
    context = CheckContext(
        root=tmp_path,
        targets={},
        secrets=Redactor(),
        deadline=float("inf"),
        fresh_after=0,
        evidence=store.for_owner("a.b"),
    )
    outcome = run_check(CheckEntry(check=Attaching(), within=None, timeout=5.0), context)
    kept = {artifact.path: (tmp_path / artifact.path).read_bytes() for artifact in outcome.evidence.artifacts}
    assert kept == {
        "evidence/a.b.request.txt": b"GET /\n\n$ curl /\n",
        "evidence/a.b.answer.txt": b"short",
        "evidence/a.b.response.bin": b"\x00\xff" * 10_000,
    }


def test_evidence_is_bounded(tmp_path: Path) -> None:
    """A file is cut to both ends, an item has so many files and no more."""
    keeper = EvidenceStore(tmp_path, Redactor()).for_owner("a")
    big = keeper.save("big", b"first" + b"x" * 2 * FILE_LIMIT + b"last")
    assert big is not None
    assert big.size < FILE_LIMIT + 100
    assert (tmp_path / big.path).read_bytes().endswith(b"last")
    kept = [keeper.save("same.txt", b"x") for _ in range(FILES_PER_ITEM + 10)]
    assert len({artifact.path for artifact in kept if artifact}) == FILES_PER_ITEM - 1


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a/b", "", "..", "\x00", "é" * 500, "CON", "a\nb", "-rf"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """Whatever an item or an attachment is called, its file stands in the folder."""
    store = EvidenceStore(tmp_path / "out", Redactor())
    kept = [store.save(name, b"x"), store.for_owner(name).save(name, b"x"), store.for_owner("a").save(name, b"x")]
    assert {(tmp_path / "out" / artifact.path).parent for artifact in kept if artifact} == {tmp_path / "out/evidence"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_evidence_of_another_run_goes(ran: Path) -> None:
    """A second run into the same folder leaves no evidence of the first."""
    (ran / "out/evidence/old.txt").write_text("x")
    assert prodgate(ran, "run", "--out", "out", "--only", "docs.readme").returncode == 0
    assert [
        path.name for path in (ran / "out/evidence").iterdir() if "runbook" in path.name or "old" in path.name
    ] == []
    assert prodgate(ran, "verify", "out").returncode == 0


def test_a_folder_that_is_not_ours_is_left_alone(ran: Path) -> None:
    """A folder `evidence` that stands in no report's folder is not cleared."""
    (ran / "mine/evidence").mkdir(parents=True)
    (ran / "mine/evidence/precious.txt").write_text("x")
    prodgate(ran, "run", "--out", "mine")
    assert (ran / "mine/evidence/precious.txt").read_text() == "x"


def test_evidence_that_cannot_be_kept(tmp_path: Path) -> None:
    """Where the evidence can't be written, its store says why, and keeps nothing."""
    (tmp_path / "evidence").write_text("a file in the way")
    store = EvidenceStore(tmp_path, Redactor())
    assert store.save("a", b"a") is None
    assert "could not be written" in str(store.problem)


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"report.md": "mine"}, "report.md"),
        ({"guide.md": "mine"}, "guide.md"),
        ({"report.json": '{"version": "1"}', "evidence/a.txt": "mine"}, "evidence"),
        ({"SHA256SUMS": "abc  release.tar.gz\n", "report.html": "mine"}, "SHA256SUMS"),
    ],
)
def test_an_out_folder_of_others(ran: Path, files: dict[str, str], named: str) -> None:
    """A folder with files that prodgate did not write is refused, and nothing in it is touched."""
    for name, text in files.items():
        (ran / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (ran / "docs" / name).write_text(text)
    before = content(ran / "docs")
    done = prodgate(ran, "run", "--out", "docs")
    assert done.returncode == 2, done.stderr
    assert f"{named}, which prodgate did not write" in done.stderr, done.stderr
    assert content(ran / "docs") == before


def content(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_links_in_the_place_of_an_out_folder(ran: Path) -> None:
    """A run writes and deletes nothing through a symbolic link: neither the folder's nor a file's in it."""
    assert prodgate(ran, "run", "--out", "out").returncode == 0
    before = content(ran / "out")
    (ran / "link").symlink_to("out")
    assert prodgate(ran, "run", "--out", "link").returncode == 2
    assert content(ran / "out") == before
    assert prodgate(ran, "run", "--out", "again").returncode == 0
    (ran / "again/report.md").unlink()
    (ran / "again/report.md").symlink_to("../out/report.md")
    assert prodgate(ran, "run", "--out", "again").returncode == 2
    assert content(ran / "out") == before


def test_an_out_folder_is_used_again(ran: Path) -> None:
    """A folder of an earlier run is cleared and used, also one of a run that was killed."""
    for _ in range(2):
        assert prodgate(ran, "run", "--out", "out").returncode == 0
    for path in (ran / "out").glob("[r-s]*.*"):
        path.unlink()
    (ran / "out/SHA256SUMS").write_bytes(b"")
    assert prodgate(ran, "run", "--out", "out").returncode == 0


def test_a_misspelt_option_keeps_the_last_report(ran: Path) -> None:
    """Away from a runner a wrong call deletes no report, and is told the nearest option."""
    assert prodgate(ran, "run", "--out", "out").returncode == 0
    before = content(ran / "out")
    done = prodgate(ran, "run", "--out", "out", "--onyl", "a")
    assert done.returncode == 2
    assert "did you mean '--only'?" in done.stderr
    assert content(ran / "out") == before


def test_an_image_without_its_digest_is_refused(ran: Path) -> None:
    """A tag can move: only a digest names an image."""
    done = prodgate(ran, "run", "--image", "ghcr.io/me/shop:latest")
    assert done.returncode == 2
    assert "has no digest; expected an image" in done.stderr
