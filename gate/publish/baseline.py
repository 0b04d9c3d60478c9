"""Load the report to compare with: a file, or the report of the base branch's last run, from its artifacts.

https://docs.github.com/en/rest/actions/workflow-runs#list-workflow-runs-for-a-workflow
https://docs.github.com/en/rest/actions/artifacts#download-an-artifact

An artifact is untrusted: it is read in memory, and only its files named `report.json`. Nothing is extracted to disk.
"""

from __future__ import annotations

import io
import threading
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from msgspec import Struct

from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.decode.quantities import format_size
from gate.model import Commit, Report
from gate.publish.github import GitHub, GitHubError
from gate.publish.session import emit_notices
from gate.publish.settings import FETCH_FROM_BASE, Notice, Settings
from gate.report.baseline import Baseline
from gate.report.diff import MAX_COMMITS, CommitRange, git_log_between
from gate.report.provenance import dig
from gate.report.serialization import InvalidReportError, from_json, read_report

if TYPE_CHECKING:
    from gate.checklist.models import Checklist

# Bytes of an artifact.
ZIP_LIMIT = 32 * 2**20
# Bytes of a decompressed report.
REPORT_LIMIT = 16 * 2**20
_MAX_RUNS, _MAX_ARTIFACTS, _MAX_REPORTS, _MAX_ENTRIES = 5, 10, 20, 20_000
# Seconds for all requests, those to the artifact's own server included.
_TIME_LIMIT = 20.0
# Events whose runs judge the branch itself. The branch of a pull request, in a fork, may have the same name.
_BRANCH_EVENTS = ("push", "schedule", "workflow_dispatch")
# The signature of an entry in the directory of a zip file.
_ENTRY_SIGNATURE = b"PK\x01\x02"
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Everything that the standard library raises for a malformed zip file.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, OSError, EOFError, OverflowError)


class BaselineUnavailableError(GateError):
    """There is no report to compare with. The message says why, and what to do about it."""

    def __init__(self, why: Message, advice: Message | None = None) -> None:
        advice = advice or _UPLOAD
        super().__init__(msg("Not compared with the base branch's last run: {why}. {advice}", why=why, advice=advice))


_UPLOAD = msg(
    "Run the workflow on pushes to that branch, and upload the report folder with `actions/upload-artifact` and "
    "`if: always()`"
)
_EXPIRED = msg("Run the workflow on that branch again, or raise the `retention-days` of its upload")
_PERMISSION = msg("Give the job the permission `actions: read`")
_USE_FILE = msg("Pass the path of an earlier report.json instead")
_RETRY = msg("Run the gate again")


class BaselineQuery(Struct, frozen=True):
    """The report to find: of this service and context, and with as many of these items as possible."""

    service: str
    context: str
    items: Collection[str]


def load_baseline(source: str, checklist: Checklist, ids: Collection[str], settings: Settings, commit: str) -> Baseline:
    """Load the baseline that `--baseline` names, with the commits from it up to `commit`.

    A baseline that can't be fetched becomes a note. Raise InvalidReportError if a file is not a report.
    """
    # Everything is fetched before the run: after the last item, nothing may delay the reports.
    try:
        query = BaselineQuery(checklist.service, settings.context, ids)
        report = find_baseline(settings, query) if source == FETCH_FROM_BASE else read_report(Path(source))
    except BaselineUnavailableError as error:
        emit_notices([Notice(error.message)])
        return Baseline(note=error.message)
    return Baseline(report, _commits_between(report.source.commit, commit, settings))


def _commits_between(old: str, new: str, settings: Settings) -> CommitRange:
    """Return the commits from git, or from GitHub if git does not have them and there is a token."""
    local = git_log_between(Path.cwd(), old, new)
    if local.unknown is None or not (old and new and settings.token and settings.repository):
        return local
    try:
        return CommitRange(list_commits(settings, old, new))
    except GitHubError as error:
        return CommitRange(unknown=msg("{why}; {also}", why=local.unknown, also=error.message))


def find_baseline(settings: Settings, query: BaselineQuery) -> Report:
    """Return the report of the newest run that has one, among the last five. Raise BaselineUnavailableError."""
    if not (settings.repository and settings.workflow):
        raise BaselineUnavailableError(msg("this is not a workflow run"), _USE_FILE)
    if not settings.token:
        raise BaselineUnavailableError(msg("no token"), _PERMISSION)
    if not settings.branch:
        raise BaselineUnavailableError(msg("the event does not name the base branch"), _USE_FILE)
    github = GitHub(settings, _TIME_LIMIT, optional=True)
    # The newest run's problem is the one to solve.
    first_error: BaselineUnavailableError | None = None
    try:
        for run in _runs(github):
            try:
                return _report_of_run(github, run, query)
            except BaselineUnavailableError as error:
                first_error = first_error or error
    except GitHubError as error:
        if error.status != 404:
            raise first_error or BaselineUnavailableError(
                error.message, _PERMISSION if error.forbidden else _RETRY
            ) from error
    raise first_error or BaselineUnavailableError(
        msg("{workflow} has no finished run on {branch}", workflow=settings.workflow, branch=settings.branch)
    )


def _runs(github: GitHub) -> list[dict[str, Any]]:
    """Return the last finished runs of the workflow that judged the branch, newest first."""
    settings = github.settings
    parameters = urlencode({"branch": settings.branch, "status": "completed", "per_page": 100})
    path = f"{github.root}/actions/workflows/{quote(settings.workflow, safe='')}/runs?{parameters}"
    runs = dig(github.get(path), "workflow_runs")
    return [run for run in (runs if isinstance(runs, list) else []) if _judged_branch(run, settings)][:_MAX_RUNS]


def _judged_branch(run: Any, settings: Settings) -> bool:
    """Return whether a run has a verdict about the branch itself, and not about a pull request or a fork."""
    same_repository = dig(run, "head_repository", "full_name") == settings.repository
    same_branch = same_repository and dig(run, "head_branch") == settings.branch
    return same_branch and dig(run, "event") in _BRANCH_EVENTS and dig(run, "conclusion") in ("success", "failure")


def _report_of_run(github: GitHub, run: dict[str, Any], query: BaselineQuery) -> Report:
    """Return the best report of a run.

    Raise BaselineUnavailableError if it has none, and GitHubError if its artifacts cannot be listed.
    """
    problems: list[BaselineUnavailableError] = []
    reports = [
        report
        for artifact in _artifacts(github, run)
        for report in _reports_of_artifact(github, artifact, problems)
        if _matches(report, run, query)
    ]
    if reports:
        return max(reports, key=lambda report: sum(item.id in query.items for item in report.items))
    if problems:
        raise problems[0]
    raise BaselineUnavailableError(
        msg(
            "the artifacts of the run {url} have no report of {service} under `{context}`",
            url=str(dig(run, "html_url") or ""),
            service=query.service,
            context=query.context,
        )
    )


def _matches(report: Report, run: dict[str, Any], query: BaselineQuery) -> bool:
    # The commit must match, too: an artifact may hold a report that the job did not write itself.
    same_gate = (report.service, report.source.context) == (query.service, query.context)
    return same_gate and report.source.commit == dig(run, "head_sha")


def _artifacts(github: GitHub, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the artifacts that may hold a report, those with `prodgate` in their names first.

    Raise BaselineUnavailableError if there is none.
    """
    path = f"{github.root}/actions/runs/{quote(str(dig(run, 'id')))}/artifacts?per_page=100"
    entries = dig(github.get(path), "artifacts")
    artifacts = [artifact for artifact in (entries if isinstance(entries, list) else []) if dig(artifact, "id")]
    url = str(dig(run, "html_url") or "")
    if not artifacts:
        raise BaselineUnavailableError(msg("the run {url} has no artifact", url=url))
    available = [artifact for artifact in artifacts if not dig(artifact, "expired")]
    if not available:
        raise BaselineUnavailableError(msg("the artifacts of the run {url} expired", url=url), _EXPIRED)
    return sorted(available, key=lambda artifact: "prodgate" not in str(dig(artifact, "name")))[:_MAX_ARTIFACTS]


def _reports_of_artifact(
    github: GitHub, artifact: dict[str, Any], problems: list[BaselineUnavailableError]
) -> list[Report]:
    """Return the reports in an artifact. Add an error to `problems` if it cannot be read."""
    name, size = str(dig(artifact, "name")), dig(artifact, "size_in_bytes")
    try:
        if (isinstance(size, int) and size > ZIP_LIMIT) or len(content := _download(github, artifact)) > ZIP_LIMIT:
            problems.append(
                _unreadable_error(name, msg("larger than the limit of {limit}", limit=format_size(ZIP_LIMIT)))
            )
            return []
        return list(_reports(content, name))
    except GitHubError as error:
        problems.append(BaselineUnavailableError(error.message, _advice(error)))
    except InvalidReportError as error:
        problems.append(_unreadable_error(name, error.message))
    except _ZIP_ERRORS as error:
        problems.append(
            _unreadable_error(name, msg("not a valid zip file: {why}", why=str(error)[:200] or type(error).__name__))
        )
    return []


def _advice(error: GitHubError) -> Message:
    if error.status == 410:
        return _EXPIRED
    return _PERMISSION if error.forbidden else _RETRY


def _unreadable_error(name: str, why: Message) -> BaselineUnavailableError:
    return BaselineUnavailableError(msg("the artifact {name} cannot be read: {why}", name=name, why=why))


def _reports(content: bytes, name: str) -> Iterator[Report]:
    """Yield every report in a zip file. Raise InvalidReportError or one of _ZIP_ERRORS."""
    # The sizes in a zip file are not to be trusted: entries are counted before it is parsed, and reports are read only
    # up to the limit.
    if content.count(_ENTRY_SIGNATURE) > _MAX_ENTRIES:
        raise zipfile.BadZipFile(f"more than {_MAX_ENTRIES} files")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [member for member in archive.infolist() if PurePosixPath(member.filename).name == "report.json"]
        for member in members[:_MAX_REPORTS]:
            if member.compress_type not in _COMPRESSIONS:
                raise zipfile.BadZipFile(f"compression {member.compress_type}")
            with archive.open(member) as file:
                text = file.read(REPORT_LIMIT + 1)
            if len(text) > REPORT_LIMIT:
                raise zipfile.BadZipFile(f"report larger than {format_size(REPORT_LIMIT)}")
            yield from_json(text.decode(), f"{name}: report.json")


def _download(github: GitHub, artifact: dict[str, Any]) -> bytes:
    """Return the content of an artifact, at least the first ZIP_LIMIT + 1 bytes. Raise GitHubError."""
    url = github.redirect_target(f"{github.root}/actions/artifacts/{quote(str(dig(artifact, 'id')))}/zip")
    if urlsplit(url).scheme not in {"https", urlsplit(github.settings.api_url).scheme}:
        raise GitHubError(
            msg("{name}: GitHub returned no valid address of the artifact", name=str(dig(artifact, "name")))
        )
    results: list[bytes | GitHubError] = []
    finished = threading.Event()

    def fetch() -> None:
        results.append(_fetch(url, _TIME_LIMIT))
        finished.set()

    # In a thread, because the timeout of requests bounds each read, but not the whole response.
    threading.Thread(target=fetch, daemon=True).start()
    if not github.allowance.wait(_TIME_LIMIT, finished):
        raise _download_error(url, msg("timed out"))
    if isinstance(results[0], GitHubError):
        raise results[0]
    return results[0]


def _fetch(url: str, timeout: float) -> bytes | GitHubError:
    """Return the content at a URL, or the error. Runs in a thread, so it must not raise."""
    # The URL is signed and belongs to another server, which must not get the token.
    import requests

    try:
        with requests.Session() as session:
            session.auth = _no_auth  # otherwise requests would send a password from `.netrc`
            with session.get(url, stream=True, allow_redirects=False, timeout=timeout) as response:
                if response.status_code != 200:
                    return _download_error(url, msg("HTTP {status}", status=response.status_code), response.status_code)
                return _read_up_to_limit(response.iter_content(64 * 1024))
    except Exception as error:  # noqa: BLE001 - whatever a library raises, the verdict stands
        return _download_error(url, type(error).__name__)


def _no_auth(request: Any) -> Any:
    return request


def _read_up_to_limit(chunks: Iterator[bytes]) -> bytes:
    """Return all content, or slightly more than ZIP_LIMIT bytes of it if it is larger."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > ZIP_LIMIT:
            break
    return bytes(content)


def _download_error(url: str, why: Message | str, status: int = 0) -> GitHubError:
    """Return the error for a download that failed."""
    # Only the host is named: the URL itself is a secret, because whoever has it may read the artifact.
    return GitHubError(
        msg("could not download the artifact from {host}: {why}", host=str(urlsplit(url).hostname), why=why),
        status=status,
    )


def list_commits(settings: Settings, old: str, new: str) -> tuple[Commit, ...]:
    """Return the commits after `old` up to `new`, without merges, newest first, from GitHub. Raise GitHubError.

    https://docs.github.com/en/rest/commits/commits#compare-two-commits
    """
    github = GitHub(settings, _TIME_LIMIT, optional=True)
    commits = dig(github.get(f"{github.root}/compare/{quote(old)}...{quote(new)}"), "commits")
    entries = [
        entry for entry in (commits if isinstance(commits, list) else []) if len(dig(entry, "parents") or []) < 2
    ]
    return tuple(map(_to_commit, reversed(entries[-MAX_COMMITS:])))


def _to_commit(entry: Any) -> Commit:
    return Commit(id=str(dig(entry, "sha")), subject=str(dig(entry, "commit", "message")).partition("\n")[0])
