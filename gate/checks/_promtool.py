"""Ask promtool if Prometheus takes a file: the one in the target's container, else the one on the PATH.

Its answer decides. Without a promtool of the right version, prodgate's own reading of the file does.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from gate.checks.base import ObservationError
from gate.checks.context import CheckContext
from gate.checks.prometheus_queries import ReadFile, prometheus_client, rule_files
from gate.core.messages import Message, msg
from gate.prometheus.goyaml import Problem
from gate.prometheus.releases import AGENT, FLAGS, METADATA, NEWEST, PROMQL_FLAGS, Release
from gate.redaction.secrets import redacted_head
from gate.runtime import processes

if TYPE_CHECKING:
    from gate.staging.container import Container

# Bytes of all files that one promtool is asked about.
_MOST = 64 * 2**20
_OUTPUT = 4 * 2**20
_REASON = 500
_VERSION = re.compile(r"promtool, version (\d{1,3}\.\d{1,3}(?:\.\d+)?)")
_MARK = "prodgate: version"
_WITH_VERSION = f'promtool --version 2>&1; echo "{_MARK}"; exec promtool "$@" 2>&1'
_ONE_OUTPUT = 'exec "$@" 2>&1'
_UNKNOWN_FLAG = re.compile(r"WARNING: Unknown .*--enable-feature")
_YAML_LINE = re.compile(r"\bline (\d+): ")
# Promtool ends a warning about a flag without a line feed.
_CHECKING = re.compile(r"(?:.*WARNING: .*)?Checking (.+)")
_PLACE = re.compile(r"^(\d+):(\d+): ")
_REFUSED = 1


class Edition(Struct, frozen=True):
    """The Prometheus for which a file is judged: its version and flags. `target` is the one that runs it.

    `stated`: the version is the checklist's or the running one's, and not the newest known.
    """

    release: Release
    stated: bool = False
    target: str | None = None

    @property
    def reader(self) -> Message:
        """Name prodgate's own reading of it, as a judge."""
        known = min(self.release.version, NEWEST)
        return msg("prodgate (rules of Prometheus {version})", version=".".join(map(str, known)))

    def accepts(self, version: tuple[int, int]) -> bool:
        """Return True if a promtool of a version can judge for it."""
        # Nobody says which Prometheus runs: the promtool beside the gate is the best hint, unless it is a major behind.
        return version == self.release.version if self.stated else version[0] == self.release.version[0]


class Refusal(Struct, frozen=True):
    """Why promtool refuses a file, and where, as far as it says so."""

    reason: str
    line: int = 1
    column: int = 1
    file: str = ""


class Judge(Struct, frozen=True):
    """Who has judged. `refusals` are promtool's, by file; None if it was not asked.

    `syntax_only`: promtool has not looked at the files that a configuration names.
    """

    name: Message
    refusals: Mapping[str, Refusal] | None = None
    syntax_only: bool = False


def find_edition(
    context: CheckContext,
    version: tuple[int, int] | None,
    flags: Sequence[str] | None,
    target: str | None,
    *,
    any_server: bool = False,
) -> Edition:
    """Return the Prometheus that loads a file: as the checklist gives it, else the running one, else the newest known.

    With `any_server`, a target may be another server with Prometheus's API. Raises ObservationError if the target has
    to be asked and does not respond, or does not report its version.
    """
    if target is None or (version is not None and flags is not None):
        return Edition(Release(version or NEWEST, frozenset(flags or ())), version is not None, target)
    with prometheus_client(context, target) as api:
        running = api.release()
    if running is None:
        if not any_server:
            raise ObservationError(
                msg("{target} does not report a version of Prometheus that prodgate knows", target=target),
                advice=msg("Set `version` and `flags`"),
                final=True,
            )
        release = Release(version or NEWEST, frozenset(PROMQL_FLAGS if flags is None else flags))
        return Edition(release, version is not None, target)
    kept = running.flags & frozenset(FLAGS) if flags is None else frozenset(flags)
    return Edition(Release(version or running.version, kept), True, target)


def with_judge(message: Message, judge: Message | None) -> Message:
    """Return the message of a result that names its judge."""
    return msg("{message}; judged by {judge}", message=message, judge=judge) if judge else message


def judge_rules(context: CheckContext, edition: Edition, texts: Mapping[str, bytes]) -> Judge:
    """Ask promtool about rule files, by their names."""
    # Numbered, because a name may have any character.
    names = {f"{number}.yml": name for number, name in enumerate(texts)}
    files = dict(zip(names, texts.values(), strict=True))

    def refusals(answer: _Answer) -> dict[str, Refusal] | None:
        found = {names[path]: found for path, found in _sections(answer.text, names)}
        return found if bool(found) == (answer.returncode == _REFUSED) else None

    return _judge(context, edition, ["check", "rules", "--lint=none"], list(names), files, refusals)


def judge_config(
    context: CheckContext, edition: Edition, path: str, files: Mapping[str, bytes], outside: Sequence[str]
) -> Judge:
    """Ask promtool about a configuration, with the files that it names; `outside` are names that lead elsewhere."""

    def refusals(answer: _Answer) -> dict[str, Refusal] | None:
        found = [Refusal(each.reason, each.line, each.column, name) for name, each in _sections(answer.text, files)]
        if bool(found) != (answer.returncode == _REFUSED):
            return None
        return {path: found[0]} if found else {}

    options = ["--agent"] if AGENT in edition.release.flags else []
    # What stands elsewhere on the machine of Prometheus is not here: only its own container can look for it.
    local = ["--syntax-only"] if outside else []
    call = ["check", "config", "--lint=none", *options]
    return _judge(context, edition, call, [path], files, refusals, local_options=local)


def run_rule_tests(context: CheckContext, edition: Edition, path: str, files: Mapping[str, bytes]) -> Judge:
    """Have promtool run a file of unit tests; `files` are the file and the rules that it loads, by their paths.

    A refusal has all that promtool reports.
    """

    def refusals(answer: _Answer) -> dict[str, Refusal] | None:
        return {path: Refusal(answer.text)} if answer.returncode == _REFUSED else {}

    return _judge(context, edition, ["test", "rules"], [path], files, refusals)


def judged_rule_files(context: CheckContext, pattern: str, edition: Edition) -> tuple[tuple[ReadFile, ...], Judge]:
    """Return the rule files that a path or glob names, with the problems that the judge sees. Raises ObservationError.

    Where promtool refuses what prodgate takes, its reason is the problem; what promtool takes has none.
    """
    files = rule_files(context, pattern, edition.release)
    texts = {f"{file.path}\0{number}": text for file in files for number, text in enumerate(file.texts())}
    judge = judge_rules(context, edition, texts) if texts else Judge(edition.reader)
    if judge.refusals is None:
        return files, judge
    refused: dict[str, Refusal] = {}
    for name, refusal in judge.refusals.items():
        refused.setdefault(name.partition("\0")[0], refusal)
    decided = tuple(_decided(file, refused.get(file.path), judge) for file in files)
    # What only Kubernetes refuses is not promtool's judgement.
    by_promtool = bool(refused) or not any(file.content.problems for file in decided)
    return decided, judge if by_promtool else Judge(edition.reader)


def _decided(file: ReadFile, refusal: Refusal | None, judge: Judge) -> ReadFile:
    """Return a rule file with the problems that promtool's answer leaves."""
    own = file.content.problems
    if refusal is None:
        problems = file.content.manifest_problems
    else:
        problems = own or [Problem(refusal.line, refusal.column, msg("{reason}", reason=refusal.reason))]
    return ReadFile(file.path, structs.replace(file.content, problems=problems), file.source)


class _Answer(Struct, frozen=True):
    """What a promtool has answered. `version` is empty if none could be run."""

    version: str
    returncode: int
    text: str


_NO_ANSWER = _Answer("", 0, "")


def _judge(
    context: CheckContext,
    edition: Edition,
    call: list[str],
    paths: list[str],
    files: Mapping[str, bytes],
    refusals: Callable[[_Answer], dict[str, Refusal] | None],
    local_options: Sequence[str] = (),
) -> Judge:
    if sum(map(len, files.values())) > _MOST:
        return Judge(edition.reader)
    flags = sorted(edition.release.flags - {AGENT, METADATA})
    call = [*(["--enable-feature=" + ",".join(flags)] if flags else []), *call]
    arguments = [f"./{path}" for path in paths]
    for place, answer in _answers(context, edition, call, arguments, files, local_options):
        if (
            not answer.version
            or not edition.accepts(_major_and_minor(answer.version))
            or answer.returncode not in (0, _REFUSED)
        ):
            continue
        if answer.returncode == _REFUSED and _UNKNOWN_FLAG.search(answer.text):
            # It may refuse what the flag allows.
            continue
        found = refusals(answer)
        if found is not None:
            name = msg("promtool {version}", version=answer.version)
            in_target = msg("{judge} in {target}", judge=name, target=place)
            return Judge(in_target if place else name, found, bool(local_options) and not place)
    return Judge(edition.reader)


def _answers(
    context: CheckContext,
    edition: Edition,
    call: list[str],
    arguments: list[str],
    files: Mapping[str, bytes],
    local_options: Sequence[str],
) -> Iterator[tuple[str, _Answer]]:
    """Yield the answers of the promtools that can be had, the best first, each with the target in which it ran."""
    running = context.targets.get(edition.target) if edition.target else None
    if running is not None and running.container is not None:
        yield running.name, _in_container(context, running.container, [*call, *arguments], files)
    path = shutil.which("promtool")
    version = _local_version(path) if path else ""
    if path and version and edition.accepts(_major_and_minor(version)):
        yield "", _here(context, version, [path, *call, *local_options, *arguments], files)


def _in_container(
    context: CheckContext, container: Container, arguments: list[str], files: Mapping[str, bytes]
) -> _Answer:
    from gate.staging.container_exec import run_with_files
    from gate.staging.errors import StagingError

    command = ["sh", "-c", _WITH_VERSION, "promtool", *arguments]
    try:
        done = run_with_files(container, command, files, deadline=context.deadline, limit=_OUTPUT)
    except StagingError:
        return _NO_ANSWER
    head, _, text = done.output.content.decode(errors="replace").partition(f"{_MARK}\n")
    return _Answer("" if done.output.dropped_bytes else _version(head), done.returncode, text)


def _here(context: CheckContext, version: str, command: list[str], files: Mapping[str, bytes]) -> _Answer:
    journal = context.stage.journal if context.stage else None
    with tempfile.TemporaryDirectory(prefix="prodgate-promtool-") as folder:
        for path, content in files.items():
            Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, path).write_bytes(content)
        try:
            done = processes.run(
                ["sh", "-c", _ONE_OUTPUT, "sh", *command],
                deadline=context.deadline,
                cwd=Path(folder),
                env=processes.environment(journal.env_marker if journal else {}),
                cancelled=context.cancelled,
                limit=_OUTPUT,
                on_group_created=journal.record_process if journal else None,
            )
        except OSError:
            return _NO_ANSWER
    if done.end_reason != "exit" or done.output.dropped_bytes:
        return _NO_ANSWER
    return _Answer(version, done.returncode, done.output.content.decode(errors="replace"))


@cache
def _local_version(path: str) -> str:
    """Return the version of a promtool, such as `3.5.3`; empty if it does not report one."""
    import subprocess

    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([path, "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=30, check=False)  # fmt: skip
        return _version(done.stdout.decode(errors="replace"))
    return ""


def _version(text: str) -> str:
    match = _VERSION.search(text)
    return match[1] if match else ""


def _major_and_minor(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


def _sections(text: str, files: Mapping[str, object]) -> Iterator[tuple[str, Refusal]]:
    """Yield the refusals in the output of promtool, each with the file that was checked."""
    name, lines, failed = "", list[str](), False
    for line in [*text.splitlines(), "Checking ."]:
        checked = _CHECKING.match(line)
        path = os.path.normpath(checked[1]) if checked else None
        if path is not None and (path in files or path == "."):
            if failed:
                yield name, _refusal(name, lines)
            name, lines, failed = path, [], False
        elif line.strip().startswith("FAILED:"):
            failed, lines = True, [line.strip().removeprefix("FAILED:")]
        elif failed and "SUCCESS:" not in line:
            lines.append(line)


def _refusal(name: str, lines: list[str]) -> Refusal:
    """Return the first reason of a section, without the name of its file."""
    prefixes = (f"parsing YAML file ./{name}: ", f"parsing YAML file {name}: ", f"./{name}: ", f"{name}: ")
    reasons: list[str] = []
    for line in filter(None, map(str.strip, lines)):
        if reasons and line.startswith(prefixes):
            break
        reasons.append(reduce(str.removeprefix, prefixes, line))
    text = " ".join(reasons)
    place, line_of_yaml = _PLACE.match(text), _YAML_LINE.search(text)
    if place:
        return Refusal(redacted_head(text[place.end() :], _REASON), int(place[1]), int(place[2]))
    return Refusal(redacted_head(text, _REASON), int(line_of_yaml[1]) if line_of_yaml else 1)
