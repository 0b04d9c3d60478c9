"""Processes that the gate starts: ones that end, their folder, user and variables, and ports that it assigns."""

from __future__ import annotations

import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.folder import Folder

SERVE = f"exec {sys.executable} -u -m http.server --bind 127.0.0.1 {{api.port}}"
FILE = {"file": {"path": "prodgate.yml", "exists": True}}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder with a checklist."""
    return Folder(tmp_path)


def item(name: str = "i", requires: str = "api", **check: Any) -> dict[str, Any]:
    """Return an item that requires a target; without a check, one that passes."""
    return {"id": name, "title": name, "requires": [requires], **(check or FILE)}


def report_of(folder: Folder) -> dict[str, Any]:
    """Return the report of a run."""
    written: dict[str, Any] = json.loads((folder.path / "out" / "report.json").read_text())
    return written


@pytest.mark.parametrize(
    ("script", "within", "expected"),
    [
        ("echo migrated", "60s", None),
        ("echo one; echo 'ERROR: none'; echo two; echo three; exit 3", "60s",
         "it has exited with 3: ERROR: none | two | three"),
        ("echo waiting; exec sleep 60", "1s", "it has not ended (for 1.0 s): waiting"),
    ],
)  # fmt: skip
def test_a_target_that_ends(folder: Folder, script: str, within: str, expected: str | None) -> None:
    """What comes after a target that ends starts when it has exited with 0; else its last lines are the reason."""
    migrate = {"once": True, "ready": {"within": within}, "start": {"command": ["sh", "-c", script]}}
    api = {"after": ["migrate"], "port": "auto", "ready": {"within": "60s"}, "start": {"command": ["sh", "-c", SERVE]}}
    folder.write(item(tcp={"target": "api"}), migrate=migrate, api=api)
    code, printed = folder.run()
    (outcome,) = folder.outcomes()
    assert (code, outcome["status"]) == ((0, "pass") if expected is None else (1, "skip")), printed
    assert expected is None or f"its dependency migrate is not ready: {expected}" in printed
    assert folder.left() == []


def test_ports_that_the_system_assigns(tmp_path: Path) -> None:
    """Two runs of one checklist do not collide; the port is in commands and variables, before and behind a proxy."""
    script = f'test "$OWN" = "{{api.port}}" && {SERVE}'
    api = {"port": "auto", "listen": "auto", "ready": {"path": "/", "within": "60s"},
           "start": {"command": ["sh", "-c", script], "environment": {"OWN": "{api.port}"}}}  # fmt: skip
    # The other target sees the proxy's port.
    see = "import sys, urllib.request; urllib.request.urlopen('http://' + sys.argv[1]); print(*sys.argv[1:])"
    other = {"once": True, "ready": {"within": "60s"},
             "start": {"command": [sys.executable, "-c", see, "{api.address}", "{api.host}"]}}  # fmt: skip
    folders = [Folder(tmp_path / name) for name in ("a", "b")]
    for folder in folders:
        folder.path.mkdir()
        folder.write(item(http={"target": "api", "path": "/", "status": 200}), item("o", "other"), api=api, other=other)
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(Folder.run, folders))
    assert [code for code, _ in results] == [0, 0], results
    addresses = [
        target["address"] for folder in folders for target in report_of(folder)["targets"] if target["name"] == "api"
    ]
    assert len(set(addresses)) == 2
    assert all(address.startswith("127.0.0.1:") for address in addresses)


def test_folder_and_variables(folder: Folder) -> None:
    """A process starts in its folder, with the variables of its files, the later file first, and its own above all."""
    (folder.path / "sub").mkdir()
    (folder.path / "a.env").write_text("FIRST=a\nSECOND=a\nTHIRD=a\nPASSWORD='geheim wort'\n")
    (folder.path / "b.env").write_text("SECOND=b\nTHIRD=b\n")
    script = 'pwd > where; echo "$FIRST $SECOND $THIRD" > variables; echo "$PASSWORD"; exit 1'
    start = {
        "command": ["sh", "-c", script],
        "cwd": "sub",
        "env_file": ["a.env", "b.env"],
        "environment": {"THIRD": "c"},
    }
    folder.write(item(requires="x"), x={"once": True, "start": start, "ready": {"within": "60s"}})
    _, printed = folder.run()
    assert (folder.path / "sub" / "where").read_text().strip() == str(folder.path / "sub")
    assert (folder.path / "sub" / "variables").read_text() == "a b c\n"
    assert "exited with 1" in printed
    assert "geheim" not in printed


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ({"cwd": "nowhere"}, "nowhere is not a folder of the checkout"),
        ({"env_file": "nowhere.env"}, "the file nowhere.env does not exist"),
        ({"env_file": "link/passwd"}, "leads out of the checkout"),
        ({"user": "nobody-of-that-name"}, "there is no user nobody-of-that-name"),
    ],
)
def test_what_is_not_there(folder: Folder, start: dict[str, Any], expected: str) -> None:
    """A folder, a file or a user that is not there is the reason why a process is not ready."""
    (folder.path / "link").symlink_to("/etc")
    folder.write(item(), api={"start": {"command": ["sleep", "60"], **start}})
    assert expected in folder.run()[1]


def test_signal(folder: Folder) -> None:
    """A process is stopped with its own signal."""
    script = "trap 'echo INT > got; exit' INT; trap 'echo TERM > got; exit' TERM; touch up; while :; do sleep 0.1; done"
    start = {"command": ["sh", "-c", script], "stop_signal": "INT"}
    up = {"within": "30s", "file": {"path": "up", "exists": True}}
    folder.write(item(**up), api={"start": start})
    assert folder.run()[0] == 0
    assert (folder.path / "got").read_text() == "INT\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as its own user only if root starts it")
def test_postgresql_from_initdb_on(tmp_path: Path) -> None:
    """PostgreSQL is initialized, started on an assigned port as its own user, stopped in a drill, and back again."""
    folder = Folder(tmp_path / "checkout")
    folder.path.mkdir()
    data = f"/tmp/prodgate-{folder.word}"
    programs = next(Path("/usr/lib/postgresql").glob("*/bin"))
    initdb = f"rm -rf {data} && {programs}/initdb --pgdata {data} --username shop --auth trust"
    targets = {
        "initdb": {
            "once": True,
            "ready": {"within": "120s"},
            "start": {"command": ["sh", "-c", initdb], "user": "postgres"},
        },
        "database": {
            "after": ["initdb"],
            "port": "auto",
            "ready": {"within": "60s"},
            "start": {
                "command": f"{programs}/postgres -D {data} -p {{database.port}} -k {data} -h 127.0.0.1",
                "user": "postgres",
                "stop_signal": "INT",
            },
        },
        "seed": {
            "once": True,
            "ready": {"within": "60s"},
            "start": {"command": "psql postgres://shop@{database.address}/postgres -c 'CREATE TABLE orders (id int)'"},
        },
    }  # fmt: skip
    query = "psql postgres://shop@{database.address}/postgres -c 'SELECT * FROM orders'"
    steady = {"within": "30s", "command": {"run": query, "stdout": {"contains": "0 rows"}}}
    refused = {"within": "30s", "command": {"run": query, "exit": 2, "stderr": {"contains": "refused"}}}
    drill = {
        "fault": {"stop": "database"},
        "steady": [steady],
        "observe": [refused],
        "recover": [steady],
        "stays": "0s",
    }
    folder.write(item(requires="seed", drill=drill), **targets)
    try:
        code, printed = folder.run()
        assert code == 0, printed
        assert folder.left() == []
    finally:
        shutil.rmtree(data, ignore_errors=True)
