"""Finds the report of the base branch's last run of the same workflow, in the artifacts that the run has left.

https://docs.github.com/en/rest/actions/workflow-runs#list-workflow-runs-for-a-workflow
https://docs.github.com/en/rest/actions/artifacts#download-an-artifact

An artifact is only ever read in memory, and of it only files called `report.json`: nothing is unpacked.
"""

from __future__ import annotations

import io
import threading
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from msgspec import Struct

from gate.core.messages import Message, msg
from gate.decode.quantities import format_size
from gate.model import Commit, Report
from gate.publish.github import GitHub, GitHubError
from gate.publish.settings import Settings, at
from gate.report.diff import MAX_COMMITS
from gate.report.serialization import InvalidReportError, from_json

ZIP_LIMIT = 32 * 2**20
"""Bytes of an artifact."""
REPORT_LIMIT = 16 * 2**20
"""Bytes of a report, unpacked."""
_RUNS, _ARTIFACTS, _REPORTS, _ENTRIES = 5, 10, 20, 20_000
_AT_MOST = 20.0
"""Seconds of what all requests to GitHub share, the artifact's own server included."""
_OF_THE_BRANCH = ("push", "schedule", "workflow_dispatch")
"""Events whose runs judge the branch itself. A pull request's run has its own branch's name, which may be the same."""
_ENTRY = b"PK\x01\x02"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN = (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, OSError, EOFError, OverflowError)


class BaselineUnavailableError(Exception):
    """There is no report to compare with: why, and what to do about it."""

    def __init__(self, why: Message, advice: Message | None = None) -> None:
        super().__init__(str(why))
        self.message = _note(why, advice or _UPLOAD)


def _note(why: Message, advice: Message) -> Message:
    return msg("Nothing was compared with the base branch's last run: {why}. {advice}", why=why, advice=advice)


_UPLOAD = msg(
    "The workflow has to run on pushes to that branch, and to upload the folder of the reports with "
    "`actions/upload-artifact` and `if: always()`"
)
_EXPIRED = msg("Run the workflow on that branch again, or give its upload more `retention-days`")
_RIGHTS = msg("Give the job the right `actions: read`")
_BY_FILE = msg("Name an earlier report.json instead")
_LATER = msg("The next run may find it")


class BaselineQuery(Struct, frozen=True):
    """Which report is looked for: of the same service under the same context, with the most of these items."""

    service: str
    context: str
    items: Collection[str]


def find_baseline(settings: Settings, wanted: BaselineQuery) -> Report:
    """The report of the base branch's last run that left one; of the last five runs at most. Raises NoBaseline."""
    if not (settings.repository and settings.workflow):
        raise BaselineUnavailableError(msg("this is no run of a workflow"), _BY_FILE)
    if not settings.token:
        raise BaselineUnavailableError(msg("there is no token"), _RIGHTS)
    if not settings.branch:
        raise BaselineUnavailableError(msg("the event does not say which branch is the base"), _BY_FILE)
    github = GitHub(settings, _AT_MOST, optional=True)
    first: BaselineUnavailableError | None = None
    try:
        for run in _runs(github):
            try:
                return _of_run(github, run, wanted)
            except BaselineUnavailableError as why:
                first = first or why
    except GitHubError as error:
        if error.status != 404:
            raise first or BaselineUnavailableError(error.message, _RIGHTS if error.rights else _LATER) from error
    raise first or BaselineUnavailableError(msg("there is none of {workflow} on {branch}", **_names(settings)))


def _names(settings: Settings) -> dict[str, str]:
    return {"workflow": settings.workflow, "branch": settings.branch}


def _runs(github: GitHub) -> list[dict[str, Any]]:
    """The last runs of the workflow that judged the branch and came to an end, the latest first."""
    settings = github.settings
    query = urlencode({"branch": settings.branch, "status": "completed", "per_page": 100})
    path = f"{github.root}/actions/workflows/{quote(settings.workflow, safe='')}/runs?{query}"
    runs = at(github.get(path), "workflow_runs")
    ended = [run for run in (runs if isinstance(runs, list) else []) if _judged_the_branch(run, settings)]
    return ended[:_RUNS]


def _judged_the_branch(run: Any, settings: Settings) -> bool:
    own = at(run, "head_repository", "full_name") == settings.repository and at(run, "head_branch") == settings.branch
    return own and at(run, "event") in _OF_THE_BRANCH and at(run, "conclusion") in ("success", "failure")


def _of_run(github: GitHub, run: dict[str, Any], wanted: BaselineQuery) -> Report:
    """The report of one run that is wanted most. Raises NoBaseline; GitHubError where the artifacts can't be listed."""
    problems: list[BaselineUnavailableError] = []
    reports = [
        report
        for artifact in _artifacts(github, run)
        for report in _of_artifact(github, artifact, problems)
        if _is(report, run, wanted)
    ]
    if reports:
        return max(reports, key=lambda report: sum(item.id in wanted.items for item in report.items))
    if problems:
        raise problems[0]
    raise BaselineUnavailableError(
        msg(
            "the artifacts of the run {url} have no report of {service} under `{context}`",
            url=str(at(run, "html_url") or ""),
            service=wanted.service,
            context=wanted.context,
        )
    )


def _is(report: Report, run: dict[str, Any], wanted: BaselineQuery) -> bool:
    same = (report.service, report.source.context) == (wanted.service, wanted.context)
    return same and report.source.commit == at(run, "head_sha")


def _artifacts(github: GitHub, run: dict[str, Any]) -> list[dict[str, Any]]:
    """The artifacts that may hold a report, those whose name speaks of the gate first. Raises NoBaseline."""
    path = f"{github.root}/actions/runs/{quote(str(at(run, 'id')))}/artifacts?per_page=100"
    listed = at(github.get(path), "artifacts")
    artifacts = [artifact for artifact in (listed if isinstance(listed, list) else []) if at(artifact, "id")]
    url = str(at(run, "html_url") or "")
    if not artifacts:
        raise BaselineUnavailableError(msg("the run {url} has left no artifact", url=url))
    kept = [artifact for artifact in artifacts if not at(artifact, "expired")]
    if not kept:
        raise BaselineUnavailableError(msg("the artifacts of the run {url} have expired", url=url), _EXPIRED)
    return sorted(kept, key=lambda artifact: "prodgate" not in str(at(artifact, "name")))[:_ARTIFACTS]


def _of_artifact(github: GitHub, artifact: dict[str, Any], problems: list[BaselineUnavailableError]) -> list[Report]:
    """The reports in one artifact. What is wrong with it is added to `problems`."""
    name, told = str(at(artifact, "name")), at(artifact, "size_in_bytes")
    try:
        if (isinstance(told, int) and told > ZIP_LIMIT) or len(content := _downloaded(github, artifact)) > ZIP_LIMIT:
            problems.append(_unread(name, msg("it is larger than the limit of {limit}", limit=format_size(ZIP_LIMIT))))
            return []
        return list(_reports(content, name))
    except GitHubError as error:
        problems.append(BaselineUnavailableError(error.message, _advice(error)))
    except InvalidReportError as error:
        problems.append(_unread(name, str(error)))
    except _BROKEN as error:
        problems.append(_unread(name, msg("it is a broken zip: {why}", why=str(error)[:200] or type(error).__name__)))
    return []


def _advice(error: GitHubError) -> Message:
    if error.status == 410:
        return _EXPIRED
    return _RIGHTS if error.rights else _LATER


def _unread(name: str, why: Message | str) -> BaselineUnavailableError:
    return BaselineUnavailableError(msg("the artifact {name} can't be read: {why}", name=name, why=why))


def _reports(content: bytes, name: str) -> Iterator[Report]:
    """Every report in a zip, read in memory and to its limit whatever the zip says of sizes. Raises one of _BROKEN."""
    if content.count(_ENTRY) > _ENTRIES:
        raise zipfile.BadZipFile(f"more than {_ENTRIES} files")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [member for member in archive.infolist() if PurePosixPath(member.filename).name == "report.json"]
        for member in members[:_REPORTS]:
            if member.compress_type not in _METHODS:
                raise zipfile.BadZipFile(f"compression {member.compress_type}")
            with archive.open(member) as file:
                text = file.read(REPORT_LIMIT + 1)
            if len(text) > REPORT_LIMIT:
                raise zipfile.BadZipFile(f"a report larger than {format_size(REPORT_LIMIT)}")
            yield from_json(text.decode(), f"{name}: report.json")


def _downloaded(github: GitHub, artifact: dict[str, Any]) -> bytes:
    """An artifact's content, from where GitHub says it lies; in a thread, as a slow answer has no end of its own."""
    url = github.redirect_target(f"{github.root}/actions/artifacts/{quote(str(at(artifact, 'id')))}/zip")
    if urlsplit(url).scheme not in {"https", urlsplit(github.settings.api_url).scheme}:
        raise GitHubError(msg("GitHub does not say where the artifact {name} lies", name=str(at(artifact, "name"))))
    box: list[bytes | GitHubError] = []
    there = threading.Event()

    def get() -> None:
        box.append(_download(url, _AT_MOST))
        there.set()

    threading.Thread(target=get, daemon=True).start()
    if not github.share.wait(_AT_MOST, there):
        raise _download_error(url, msg("it took too long"))
    if isinstance(box[0], GitHubError):
        raise box[0]
    return box[0]


def _download(url: str, timeout: float) -> bytes | GitHubError:
    """What an address answers, asked without the token: it is another server's, and has its own right in itself."""
    import requests

    try:
        with requests.Session() as session:
            session.auth = _no_auth  # else `.netrc` would be asked
            with session.get(url, stream=True, allow_redirects=False, timeout=timeout) as response:
                if response.status_code != 200:
                    return _download_error(
                        url, msg("it answered with {status}", status=response.status_code), response.status_code
                    )
                return _beginning(response.iter_content(64 * 1024))
    except Exception as error:  # noqa: BLE001 - whatever a library raises, the verdict stands
        return _download_error(url, type(error).__name__)


def _no_auth(request: Any) -> Any:
    return request


def _beginning(chunks: Iterator[bytes]) -> bytes:
    """All of it, or its beginning where that is beyond the limit."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > ZIP_LIMIT:
            break
    return bytes(content)


def _download_error(url: str, why: Message | str, status: int = 0) -> GitHubError:
    """The address itself is a secret: whoever has it may read the artifact."""
    return GitHubError(
        msg("the artifact could not be had from {host}: {why}", host=str(urlsplit(url).hostname), why=why),
        status=status,
    )


def commits(settings: Settings, old: str, new: str) -> tuple[Commit, ...]:
    """The commits after `old` up to `new`, without merges, the latest first, as GitHub knows them. Raises GitHubError.

    https://docs.github.com/en/rest/commits/commits#compare-two-commits
    """
    github = GitHub(settings, _AT_MOST, optional=True)
    listed = at(github.get(f"{github.root}/compare/{quote(old)}...{quote(new)}"), "commits")
    entries = [entry for entry in (listed if isinstance(listed, list) else []) if len(at(entry, "parents") or []) < 2]
    return tuple(map(_commit, reversed(entries[-MAX_COMMITS:])))


def _commit(entry: Any) -> Commit:
    return Commit(id=str(at(entry, "sha")), subject=str(at(entry, "commit", "message")).partition("\n")[0])
