"""Secrets are planted wherever text comes from, in every shape, and at cuts; every byte that leaves is searched."""

from __future__ import annotations

import html
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gate.decode import charsets
from gate.redaction.secrets import Redactor
from gate.redaction.streams import RedactingStream
from gate.render import FORMATS
from gate.report.serialization import to_json
from gate.runtime.evidence import EvidenceStore
from tests.support import reports
from tests.support.github.checkout import Runner
from tests.support.github.fixtures import github
from tests.support.github.server import HEAD, TOKEN, Fault, GitHub
from tests.support.paths import ROOT
from tests.support.web import Reply, serving

__all__ = ["github"]
SECRETS = {
    "API_TOKEN": "tok-5ecret-aaaa",
    "DB_PASSWORD": 'pa55"wo\\rd<&>/bbbb',
    "SIGNING_SECRET": "f1rst+s1gn\ns3cond-cccc",
    "AWS_SECRET_ACCESS_KEY": "aws+acce55/dddd",
    "PGPASSWORD": "pgpa55-eeee",
    "GITHUB_PAT": "gh9-pat-ffff",
    "INPUT_GITHUB-TOKEN": TOKEN,
}
SHAPES = {
    "url-gggg": "http://me:url-gggg@db/x",
    "user-hhhh": "https://user-hhhh@db/x",
    "slash/iiii": "http://me:slash/iiii@db/x",
    "at@jjjj": "http://me:at@jjjj@db/x",
    "query-kkkk": "http://db/x?access_token=query-kkkk&x=1",
    "header-llll": "\nAuthorization: Bearer header-llll\n",
    "quoted-mmmm": '{"Authorization": "Bearer quoted-mmmm"}',
    "repr-nnnn": "{'Authorization': 'Bearer repr-nnnn'}",
    "inner-oooo": json.dumps(json.dumps({"Authorization": "Bearer inner-oooo"})),
    "auth-pppp": "X-Auth-Token: auth-pppp\n",
    "vault-qqqq": "X-Vault-Token: vault-qqqq\n",
    "cookie-rrrr": 'Set-Cookie: a="b"; sid=cookie-rrrr\n',
    "bearer-ssss": "it sent Bearer bearer-ssss",
    "bWU6YmFzaWM=": "it sent Basic bWU6YmFzaWM=",
    "curl-tttt": "curl -u me:curl-tttt http://db/",
    "variable-uuuu": "REPLICA_PASSWORD=variable-uuuu\n",
}
WRITTEN = [json.dumps([*SECRETS.values()]), repr(SECRETS["DB_PASSWORD"]), html.escape(SECRETS["DB_PASSWORD"])]
LEAKS = "\n".join([*SECRETS.values(), *SHAPES.values(), *WRITTEN])
# A secret at every place where a text may be cut.
DENSE = SECRETS["API_TOKEN"] * 20_000
LINES = "".join(f"{number} {SECRETS['API_TOKEN']}\n" for number in range(20_000))
COMMANDS = ("validate", "plan", "explain a.0", "explain a.4", "prove --verbose", "restore", "history .")
HEXADECIMAL = re.compile(r"[0-9a-f]*")


def parts(value: str) -> Iterator[str]:
    """Return every six characters of each line, except those that a checksum may hold as well."""
    for line in value.splitlines():
        yield from (part for at in range(len(line) - 5) if not HEXADECIMAL.fullmatch(part := line[at : at + 6]))


SEARCHED = {
    *(part for value in SECRETS.values() for part in parts(value)),
    *(json.dumps(value)[1:-1] for value in SECRETS.values()),
    *SHAPES,
    "rd&lt;&amp;",
}


def leaking(leaving: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the secrets found, with the file that holds each."""
    return sorted((name, part) for name, content in leaving.items() for part in SEARCHED if part in content)


def files(*places: Path) -> dict[str, str]:
    """Return the published files by name."""
    found = [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
    assert len(found) >= len(places)
    return {str(path): f"{path}\n{path.read_text(errors='replace')}" for path in found}


def requests(github: GitHub) -> str:
    """Everything that GitHub was sent, besides the token that it is asked with."""
    return "\n".join(
        f"{request.method} {request.path} {json.dumps(request.body, ensure_ascii=False)}" for request in github.requests
    )


def commands() -> Iterator[dict[str, Any]]:
    """Yield checks whose outputs, files and results hold the secrets, also across a cut."""
    shell = {"shell": True, "exit": 0}
    yield {"title": "Says ${API_TOKEN}", "command": {"run": ["cat", "leaks"], "exit": 1}}
    yield {"title": "Errors", "command": {**shell, "run": "cat leaks >&2; exit 1"}}
    yield {"title": "Environment", "command": {**shell, "run": "env; exit 1", "env": {"X": "${DB_PASSWORD}"}}}
    yield {"title": "Dense", "command": {**shell, "run": "cat dense; exit 1"}}
    yield {"title": "Limited", "command": {**shell, "run": "cat dense; exit 1", "limit": "1KiB"}}
    yield {"title": "Lines", "command": {**shell, "run": "cat lines; exit 1"}}
    yield {
        "title": "Expects",
        "command": {"run": ["head", "-c", "9000", "dense"], "stdout": {"contains": "${API_TOKEN} no"}},
    }
    yield {"title": "Stopped", "timeout": "2s", "command": {**shell, "run": "head -c 42 dense; sleep 9"}}
    yield {"title": "Killed", "command": {**shell, "run": "head -c 42 dense; kill -9 $$$$"}}
    yield {"title": "File", "file": {"path": "leaks", "contains": "nothing of the kind ${API_TOKEN}"}}
    yield {"title": "Found", "file": {"path": "dense", "contains": "aaaa"}}
    yield {"title": "Source", "source": {"file": "dense", "text": "aaaa", "count": 0}}
    yield {"title": "Tests", "tests": {"run": ["cat", "results"]}}


def services(url: str) -> Iterator[dict[str, Any]]:
    """Yield checks that send the secrets and whose responses hold them."""
    sent = {"Authorization": "Bearer quoted-mmmm", "X-Auth-Token": "auth-pppp", "Cookie": "sid=cookie-rrrr"}
    plain = {"target": "api", "path": "/says"}
    yield {
        "title": "http://me:url-gggg@db/",
        "http": {"url": "http://me:url-gggg@127.0.0.1:9", "path": "/", "status": 200},
    }
    yield {
        "title": "Sends",
        "http": {"url": url, "path": "/says?access_token=query-kkkk", "headers": sent, "status": 200},
    }
    yield {"title": "Cut", "http": {"target": "api", "path": "/dense", "status": 200, "limit": "100KiB"}}
    yield {"title": "JSON", "http": {**plain, "json": {"a": "b"}}}
    yield {"title": "Text", "http": {**plain, "text": "${API_TOKEN} is not there"}}
    yield {"title": "Exposes", "metrics": {"target": "api", "path": "/dense", "valid": True}}
    yield {"title": "Queries", "promql": {"target": "api", "query": "up", "value": 1}}
    yield {"title": "Started", "requires": ["started"], "http": {"target": "started", "path": "/", "status": 200}}


def results() -> str:
    """Return the results of a Go test that prints the secrets and fails."""
    said = {"Action": "output", "Package": "p", "Test": "T", "Output": LEAKS + DENSE[:9000]}
    ends = [{"Action": "fail", "Package": "p", "Test": "T"}, {"Action": "fail", "Package": "p"}]
    return "\n".join(map(json.dumps, [said, *ends]))


def checklist(url: str) -> str:
    """Return all these checks, and targets with the secrets in addresses, environments and logs."""
    start = {
        "command": ["sh", "-c", "cat leaks dense; echo ${API_TOKEN}; exit 1"],
        "environment": {"FOO": "${DB_PASSWORD}"},
    }
    made = [{"id": f"a.{number}", **item} for number, item in enumerate([*commands(), *services(url)])]
    return json.dumps(
        {
            "version": 1,
            "service": "shop ${API_TOKEN}",
            "environment": "${API_TOKEN}",
            "targets": {
                "api": {"url": url},
                "credentials": {"url": "http://me:url-gggg@127.0.0.1:9"},
                "started": {"start": start, "url": "http://127.0.0.1:9", "ready": {"tcp": 9, "within": "1s"}},
            },
            "sections": [{"id": "a", "title": "A ${API_TOKEN}", "items": made}],
            "waivers": [
                {"item": "a.0", "reason": "r ${API_TOKEN}", "owner": "${DB_PASSWORD}", "expires": "2099-01-01"}
            ],
        }
    )


def planted(folder: Path, github: GitHub) -> Runner:
    """Create a checkout with everything that leaks, on a runner whose GitHub returns the secrets as well."""
    runner = Runner(folder, github)
    for name, text in {"leaks": LEAKS, "dense": DENSE, "lines": LINES, "results": results()}.items():
        runner.write(name, text)
    runner.environment.update(SECRETS)
    runner.environment.update(GITHUB_STEP_SUMMARY=str(folder / "summary"), GITHUB_OUTPUT=str(folder / "output"))
    github.faults += [
        Fault("GET", "rules", status=422, message=LEAKS),
        Fault("PATCH", "comments", status=422, message=DENSE),
    ]
    return runner


def test_words_of_ids_as_passwords(tmp_path: Path, github: GitHub) -> None:
    """Items and targets keep their names in all that leaves where a password is an ordinary word of them."""
    failing = {"title": "postgres is up", "command": {"run": ["false"]}}
    ids = ("postgres.up", "redis.up")
    runner = Runner(tmp_path, github, *({"id": each, **failing} for each in ids))
    runner.environment.update(
        POSTGRES_PASSWORD="postgres", REDIS_PASSWORD="redis", DB_PASSWORD="test", CI_PASSWORD="prodgate"
    )
    code, log = runner.run()
    assert [item["location"]["file"] for item in runner.report["sections"][0]["items"]] == ["prodgate.yml"] * 2
    junit = (tmp_path / "prodgate-out" / "junit.xml").read_text()
    assert "postgres is up" in github.comments[-1]["body"]
    for each in ids:
        assert code == 1
        assert all(each in text for text in (log, junit, json.dumps(runner.report)))
        runner.run("run", "--publish=none", f"--only={each}", f"--out=parts/{each}")
    code, log = runner.run("merge", f"--expect={' '.join(ids)}", "parts")
    assert code == 1, log
    assert [item["id"] for section in runner.report["sections"] for item in section["items"]] == [*ids]


def test_a_secret_filled_into_an_id(tmp_path: Path, github: GitHub) -> None:
    """An id that a variable was filled into does not make an ordinary word known to everybody: nothing is run."""
    runner = Runner(tmp_path, github, {"id": "a.${API_TOKEN}", "title": "T", "command": {"run": ["false"]}})
    runner.environment.update(API_TOKEN="harmless")
    code, log = runner.run()
    assert code == 2
    assert "harmless" not in log


def test_a_run(tmp_path: Path, github: GitHub) -> None:
    """Nothing leaves with what a run writes, says and asks, nor with the commands that read the same files."""
    response = json.dumps({"status": "error", "error": LEAKS + DENSE[:9000]})
    routes = {"/says": Reply(body=LEAKS), "/dense": Reply(body=DENSE), "/api/v1/query": Reply(body=response)}
    runner = planted(tmp_path, github)
    with serving(routes) as web:
        runner.write("prodgate.yml", checklist(web.url))
        code, log = runner.run()
    assert code == 1, log
    said = {"run": log}
    for words in (*COMMANDS, "render prodgate-out/report.json"):
        said[words] = runner.run(*words.split())[1]
    left = files(tmp_path / "prodgate-out", tmp_path / "summary", tmp_path / "output")
    assert leaking({**said, **left, "github": requests(github)}) == []
    assert len(left) > 40
    assert {"pending", "failure"} == {status["state"] for status in github.statuses}
    assert [name for name, text in (*said.items(), *left.items()) if "***" in text and "report" in name]


@pytest.fixture
def leaky(tmp_path: Path, github: GitHub) -> Runner:
    """Give a report that is not redacted to a job that has the secrets in its environment."""
    runner = planted(tmp_path, github)
    made = reports.hostile(text=f"{LEAKS}{DENSE[:9000]}", name=SECRETS["API_TOKEN"])
    source = made.source.replace(commit=HEAD, run_id="5000")
    runner.write("parts/one/report.json", to_json(made.replace(source=source)))
    return runner


def test_a_merge(leaky: Runner, github: GitHub) -> None:
    """Nothing leaves that stands in the reports of other jobs."""
    code, log = leaky.run("merge", "parts")
    assert code == 1, log
    left = files(leaky.folder / "prodgate-out", leaky.folder / "summary", leaky.folder / "output")
    assert leaking({"log": log, "github": requests(github), **left}) == []


@pytest.mark.parametrize("format", FORMATS.kinds())
def test_rendered_again(leaky: Runner, format: str) -> None:
    """Nothing leaves that stands in a report that is rendered, on the screen and as a file."""
    _, shown = leaky.run("render", "parts/one/report.json", f"--format={format}")
    code, log = leaky.run("render", "parts/one/report.json", f"--format={format}", "--output=made")
    assert (code, log) == (0, "")
    assert leaking({"shown": shown, **files(leaky.folder / "made")}) == []
    assert "***" in shown.replace("\\", "")


@pytest.mark.parametrize("words", ["explain tok-5ecret-aaaa.fail --report=parts/one/report.json", "history parts"])
def test_read_again(leaky: Runner, words: str) -> None:
    """Nothing leaves by the other commands that read reports."""
    code, shown = leaky.run(*words.split())
    assert code == 0, shown
    assert leaking({"shown": shown}) == []


@pytest.mark.parametrize("command", ["run", "validate", "plan", "explain a.b", "prove"])
def test_a_wrong_checklist(tmp_path: Path, github: GitHub, command: str) -> None:
    """What is said of a checklist that holds secrets where none belong does not show them."""
    runner = planted(tmp_path, github)
    wrong = [
        {"title": "T", "command": {"run": ["true"]}, "id": f"a.{key}", key: f"x ${{{name}}}"}
        for key in ("severity", "timeout", "within", "needs", "id", "file", "command", "x")
        for name in ("API_TOKEN", "DB_PASSWORD", "SIGNING_SECRET")
    ]
    section = {"id": "a", "title": "A", "items": wrong}
    runner.write("prodgate.yml", json.dumps({"version": 1, "service": "s", "sections": [section]}))
    code, log = runner.run(*command.split())
    assert code == 2, log
    assert log.count("***") > 10
    assert leaking({"log": log, "github": requests(github)}) == []


def test_a_secret_in_an_id(tmp_path: Path, github: GitHub) -> None:
    """An id is read by everybody: one into which a secret variable is filled is refused, with its place."""
    runner = planted(tmp_path, github)
    item = {"id": "a.${API_TOKEN}", "title": "T", "command": {"run": ["true"]}}
    section = {"id": "a", "title": "A", "items": [item]}
    runner.write("prodgate.yml", json.dumps({"version": 1, "service": "s", "sections": [section]}, indent=1))
    code, log = runner.run("validate")
    assert (code, leaking({"log": log})) == (2, []), log
    assert "prodgate.yml:10:12: holds the value of a secret variable, expected an id that everybody may read" in log


def test_an_error_that_nobody_expected() -> None:
    """Not even the trace of an error shows it."""
    program = (
        "from gate.redaction.streams import redact_std_streams as redact\nwith redact():\n"
        "  try: 1 / 0\n  except Exception: import traceback; {}"
    )
    call = program.format(f"raise SystemExit(traceback.print_exc() or print({SECRETS['API_TOKEN']!r}))")
    environment = {"PATH": "", "PYTHONPATH": str(ROOT), **SECRETS}
    done = subprocess.run([sys.executable, "-c", call], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "***\n"
    assert "ZeroDivisionError" in done.stderr


def test_the_streams_stay_open() -> None:
    """What was written to before is open afterwards, and nothing is hidden there."""
    program = (
        "import gc, os\nfrom gate.redaction.streams import redact_std_streams as redact\n"
        "with redact(): print(os.environ['API_TOKEN'])\n"
    )
    environment = {"PATH": "", "PYTHONPATH": str(ROOT), **SECRETS}
    call = [sys.executable, "-c", f"{program}gc.collect(); print('open')"]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "***\nopen\n"


def test_a_secret_written_in_pieces() -> None:
    """A secret is redacted however a program cuts it into writes and flushes; what is written last is shown, too."""
    value = SECRETS["API_TOKEN"]
    for at in range(1, len(value)):
        stream = io.StringIO()
        out = RedactingStream(stream, Redactor([value]))
        for piece in ("it is ", value[:at], value[at:], ", so\n", "end ", value[:at]):
            out.write(piece)
            out.flush()
        out.finish()
        shown = stream.getvalue()
        assert shown.startswith("it is ***, so\nend ")
        assert shown.endswith("***" if at >= 4 else value[:at])


@pytest.mark.parametrize(
    "charset", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "cp037", "cp500", "latin-1"]
)
def test_evidence_is_decoded_before_it_is_redacted(tmp_path: Path, charset: str) -> None:
    """Whatever charset a service declares, its response is kept as text, and no secret in it."""
    value = 'tok+5ecret"aaaé'
    body = ("before " + value + " behind").encode(charset)
    shown = charsets.readable(body, charset)
    assert shown.lstrip("\ufeff") == f"before {value} behind"
    store = EvidenceStore(tmp_path, Redactor([value]))
    kept = store.save("answer.txt", shown.encode())
    assert kept is not None
    assert (tmp_path / kept.path).read_text().lstrip("\ufeff") == "before *** behind"


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-16-be", "cp037", "latin-1"])
def test_files_are_decoded_before_they_are_redacted(tmp_path: Path, charset: str) -> None:
    """A file that shows its encoding, such as XML by its declaration, is kept as text without the secret."""
    text = f'<?xml version="1.0" encoding="{charset}"?><a>tok+5ecret-aaaé</a>'
    store = EvidenceStore(tmp_path, Redactor(["tok+5ecret-aaaé"]))
    kept = store.save("results.xml", text.encode(charset))
    assert kept is not None
    assert "<a>***</a>" in (tmp_path / kept.path).read_text()
