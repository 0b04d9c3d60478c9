"""A server of ours that plays GitHub's REST API: it keeps state, has GitHub's limits, and can fail in its ways.

Every request and every answer is checked against GitHub's description; what is wrong is kept in `wrong`, and fails the
test in the end. Faults happen to the requests they match, in the order in which they were given.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.github import description

OWNER, NAME = "veza", "veza-backend-api"
REPOSITORY = f"{OWNER}/{NAME}"
HEAD = "feb7283cd4a17c4460be28697ac2d7e4b7476512"
TOKEN = "ghs_0123456789abcdefghijABCDEFGHIJ"
READ_ONLY = "ghs_forkforkforkforkforkforkforkfo"
PERSONAL = "ghp_personalpersonalpersonalperso"
WRITES = frozenset({"statuses", "comments"})
MAX_DESCRIPTION, MAX_COMMENT, MAX_STATUSES = 140, 65536, 1000
WHOLE_FILE = 2**20


@dataclass(frozen=True)
class User:
    """Who a token stands for. An installation's token has no /user."""

    login: str
    bot: bool = True


ACTIONS = User("github-actions[bot]")


@dataclass
class Fault:
    """What befalls a request. `after`: the request is done, and only its answer is lost.

    `page`: what something between us and GitHub answers, such as a proxy.
    """

    method: str
    path: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "Server Error"
    reset: bool = False
    silence: float = 0.0
    page: bytes | None = None
    after: bool = False
    times: int = 1


def between(page: bytes, path: str = "") -> list[Fault]:
    """Something between us and GitHub that answers every request with this page."""
    return [Fault(method, path, status=200, page=page, times=1000) for method in ("GET", "POST", "PATCH", "DELETE")]


PAGES = (b"<html>Please log in</html>", b"{}", b"[]", b"[[]]", b"null", b'"x"', b"{", b"")


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    method: str
    path: str
    body: Any
    headers: dict[str, str]
    at: float


class ApiError(Exception):
    """An answer that refuses."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"message": message, "documentation_url": "https://docs.github.com/rest"}
        if code:
            self.body["errors"] = [{"resource": "Status", "field": "description", "code": code, "message": message}]


class GitHub:
    """The server and its state."""

    def __init__(self, prefix: str = "", host: str = "127.0.0.1") -> None:
        self.prefix = prefix
        self.host = host
        self.tokens = {
            TOKEN: (ACTIONS, WRITES | {"actions"}),
            READ_ONLY: (ACTIONS, frozenset()),
            PERSONAL: (User("ada", False), WRITES),
        }
        self.statuses: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.commits = {HEAD}
        self.head = HEAD
        self.merge_commit = "e" * 40
        self.head_label = "ada:topic"
        self.locked = False
        self.renamed = False
        self.pulls = {7}
        self.rules: dict[str, list[dict[str, Any]]] = {}
        self.protected: dict[str, list[str]] = {"main": []}
        self.files: dict[tuple[str, str], bytes] = {}
        self.runs: list[dict[str, Any]] = []
        self.artifacts: list[dict[str, Any]] = []
        self.between: dict[str, list[tuple[str, str]]] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.lock = threading.RLock()
        self.over = threading.Event()
        self._number = 100
        handler = type("Handler", (_Handler,), {"github": self})
        self.server = ThreadingHTTPServer((host, 0), handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Return the address of the API."""
        return f"http://{self.host}:{self.server.server_port}{self.prefix}"

    def start(self) -> None:
        """Listen in the background."""
        self.thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def number(self) -> int:
        """Return the next id."""
        self._number += 1
        return self._number

    def now(self) -> str:
        """Return the time of the last change: each number takes a second."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_700_000_000 + self._number))

    def writes(self) -> list[Request]:
        """Return the requests that were to change something."""
        return [request for request in self.requests if request.method != "GET"]

    def latest(self, context: str = "prodgate", sha: str = HEAD) -> dict[str, Any]:
        """Return the status that counts for a commit and a context."""
        return [status for status in self.statuses if status["sha"] == sha and status["context"] == context][-1]

    def comment(self, body: str, author: User = ACTIONS, pull: int = 7) -> dict[str, Any]:
        """Add a comment, as somebody else would."""
        made = description.example("issue-comment")
        number = self.number()
        made.update(id=number, body=body, issue_url=f"{self.url}/repos/{REPOSITORY}/issues/{pull}")
        made.update(created_at=self.now(), updated_at=self.now())
        made["user"].update(login=author.login, type="Bot" if author.bot else "User")
        self.comments.append(made)
        return made

    def run(self, workflow: str = "prodgate.yml", **more: Any) -> dict[str, Any]:
        """Add a run of a workflow, later than those before it."""
        made: dict[str, Any] = description.example("workflow-run-paginated")["workflow_runs"][0]
        number = self.number()
        made.update(
            id=number,
            path=f".github/workflows/{workflow}",
            html_url=f"https://github.com/{REPOSITORY}/actions/runs/{number}",
        )
        made.update(event="push", status="completed", conclusion="success", head_branch="main", head_sha="0" * 40)
        made["head_repository"]["full_name"] = REPOSITORY
        made.update(more)
        self.runs.insert(0, made)
        return made

    def artifact(self, run: dict[str, Any], name: str, location: str, **more: Any) -> dict[str, Any]:
        """Add an artifact that a run has left, whose content lies elsewhere."""
        made: dict[str, Any] = description.example("artifact-paginated")["artifacts"][0]
        made.update(id=self.number(), name=name, expired=False, **more)
        made["workflow_run"].update(id=run["id"], head_sha=run["head_sha"], head_branch=run["head_branch"])
        made["archive_download_url"] = location
        self.artifacts.append(made)
        return made

    def answer(
        self, method: str, path: str, query: dict[str, str], body: Any, token: str
    ) -> tuple[int, Any, dict[str, str]]:
        """Return GitHub's response: status, body, headers."""
        with self.lock:
            found = description.operation(method, path)
            if found is None:
                self.violations.append(f"unexpected: {method} {path}")
                return 404, {"message": "Not Found"}, {}
            pattern, described, values = found
            self.violations += [
                f"{method} {path}: {what}" for what in description.request_violations(described, query, body)
            ]
            try:
                status, made, headers = self._done(f"{method} {pattern}", values, query, body, token)
            except ApiError as error:
                status, made, headers = error.status, error.body, {}
            shown = _shown(made)
            self.violations += [
                f"response to {method} {path}: {what}"
                for what in description.response_violations(described, status, shown)
            ]
            return status, shown, headers

    def _done(self, what: str, values: dict[str, str], query: dict[str, str], body: Any, token: str) -> Any:
        if token not in self.tokens:
            raise ApiError(401, "Bad credentials")
        user, may = self.tokens[token]
        if "/actions/" in what and "actions" not in may:
            raise ApiError(403, "Resource not accessible by integration")
        if values and f"{values['owner']}/{values['repo']}" != REPOSITORY:
            raise ApiError(404, "Not Found")
        needs = _NEEDS.get(what)
        if needs and needs not in may:
            raise ApiError(403, "Resource not accessible by integration")
        return _ROUTES[what](self, user, values, query, body)

    def _user(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        if user.bot:
            raise ApiError(403, "Resource not accessible by integration")
        made = description.example("private-user-response-with-public-profile-information")
        made.update(login=user.login)
        return 200, made, {}

    def _post_status(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        if values["sha"] not in self.commits:
            raise ApiError(422, f"No commit found for SHA: {values['sha']}", "custom")
        text, context = body.get("description") or "", body.get("context", "default")
        if len(text) > MAX_DESCRIPTION:
            raise ApiError(422, "description is too long (maximum is 140 characters)", "too_long")
        if any(ord(character) > 0xFFFF for character in text):
            raise ApiError(422, "description contains unicode characters above 0xffff", "custom")
        same = [
            one for one in self.statuses if one["sha"] == values["sha"] and one["context"].lower() == context.lower()
        ]
        if len(same) >= MAX_STATUSES:
            raise ApiError(422, "This SHA and context has reached the maximum number of statuses.", "custom")
        made = description.example("status")
        made.update(
            id=self.number(), sha=values["sha"], context=context, **{k: body.get(k) for k in ("state", "target_url")}
        )
        made.update(description=text)
        made["creator"].update(login=user.login, type="Bot" if user.bot else "User")
        self.statuses.append(made)
        return 201, made, {}

    def _list_statuses(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        found = [status for status in reversed(self.statuses) if status["sha"] == values["ref"]]
        return self._paged(found, query, f"/repos/{REPOSITORY}/commits/{values['ref']}/statuses")

    def _list_comments(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        found = self._of_pull(int(values["issue_number"]))
        found = [comment for comment in found if comment["updated_at"] >= query.get("since", "")]
        return self._paged(found, query, f"/repos/{REPOSITORY}/issues/{values['issue_number']}/comments")

    def _issue(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        self._of_pull(int(values["issue_number"]))
        made = description.example("issue")
        made.update(number=int(values["issue_number"]), locked=self.locked)
        return 200, made, {}

    def _list_pulls(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        found = []
        for number in sorted(self.pulls) if query.get("head") == self.head_label else ():
            made: dict[str, Any] = description.example("pull-request-simple-items")[0]
            made["number"] = number
            made["head"].update(sha=self.head)
            made["requested_teams"] = []
            found.append(made)
        return self._paged(found, query, f"/repos/{REPOSITORY}/pulls")

    def _pull(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        self._of_pull(int(values["pull_number"]))
        made = description.example("pull-request")
        made["head"].update(sha=self.head)
        made.update(merge_commit_sha=self.merge_commit)
        made["requested_teams"] = []  # GitHub's own example of a team is not of the form that it describes
        return 200, made, {}

    def _of_pull(self, number: int) -> list[dict[str, Any]]:
        if number not in self.pulls:
            raise ApiError(404, "Not Found")
        return [one for one in self.comments if one["issue_url"].endswith(f"/{number}")]

    def _post_comment(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        self._of_pull(int(values["issue_number"]))
        if self.locked:
            raise ApiError(403, "Unable to create comment because issue is locked.")
        return 201, self.comment(_fitting(body["body"]), user, int(values["issue_number"])), {}

    def _one_comment(self, values: dict[str, str]) -> dict[str, Any]:
        for one in self.comments:
            if str(one["id"]) == values["comment_id"]:
                return one
        raise ApiError(404, "Not Found")

    def _get_comment(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        return 200, self._one_comment(values), {}

    def _patch_comment(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        found = self._one_comment(values)
        found["body"] = _fitting(body["body"])
        self.number()
        found["updated_at"] = self.now()
        return 200, found, {}

    def _delete_comment(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        self.comments.remove(self._one_comment(values))
        return 204, None, {}

    def _branch_rules(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        return self._paged(
            self.rules.get(values["branch"], []), query, f"/repos/{REPOSITORY}/rules/branches/{values['branch']}"
        )

    def _branch(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        if values["branch"] not in self.protected:
            raise ApiError(404, "Branch not found")
        contexts = self.protected[values["branch"]]
        made = description.example("branch-get")
        made.update(name=values["branch"], protected=bool(contexts))
        required = {"enforcement_level": "non_admins" if contexts else "off", "contexts": contexts, "checks": []}
        made["protection"] = {"enabled": bool(contexts), "required_status_checks": required}
        return 200, made, {}

    def _contents(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        content = self.files.get((query.get("ref", "main"), values["path"]))
        if content is None:
            raise ApiError(404, "Not Found")
        made = description.example("content-file-response-if-content-is-a-file")
        made.update(path=values["path"], size=len(content), content=base64.encodebytes(content).decode())
        if len(content) > WHOLE_FILE:
            made.update(encoding="none", content="")
        return 200, made, {}

    def _workflow_runs(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        found = [run for run in self.runs if run["path"].endswith(f"/{values['workflow_id']}")]
        if not found:
            raise ApiError(404, "Not Found")
        found = [run for run in found if run["head_branch"] == query.get("branch", run["head_branch"])]
        found = [run for run in found if query.get("status") in (None, run["status"], run["conclusion"])]
        page, headers = self._paged(found, query, f"/repos/{REPOSITORY}/actions/runs")[1:]
        return 200, {"total_count": len(found), "workflow_runs": page}, headers

    def _run_artifacts(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        found = [one for one in self.artifacts if str(one["workflow_run"]["id"]) == values["run_id"]]
        page, headers = self._paged(found, query, f"/repos/{REPOSITORY}/actions/runs/{values['run_id']}/artifacts")[1:]
        return 200, {"total_count": len(found), "artifacts": page}, headers

    def _download(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        for one in self.artifacts:
            if str(one["id"]) == values["artifact_id"]:
                if one["expired"]:
                    raise ApiError(410, "Artifact has expired")
                return 302, None, {"Location": one["archive_download_url"]}
        raise ApiError(404, "Not Found")

    def _compare(self, user: User, values: dict[str, str], query: dict[str, str], body: Any) -> Any:
        if values["basehead"] not in self.between:
            raise ApiError(404, "Not Found")
        made = description.example("commit-comparison")
        pattern = made["commits"][0]
        made["commits"] = [
            {**pattern, "sha": sha, "commit": {**pattern["commit"], "message": message}}
            for sha, message in self.between[values["basehead"]]
        ]
        return 200, made, {}

    def _paged(self, found: list[Any], query: dict[str, str], path: str) -> Any:
        per_page, page = min(100, int(query.get("per_page", "30"))), int(query.get("page", "1"))
        more = len(found) > page * per_page
        link = f'<{self.url}{path}?per_page={per_page}&page={page + 1}>; rel="next"'
        return 200, found[(page - 1) * per_page : page * per_page], {"Link": link} if more else {}


def _fitting(body: str) -> str:
    if len(body) > MAX_COMMENT:
        raise ApiError(422, "body is too long (maximum is 65536 characters)", "too_long")
    return body


def _shown(value: Any) -> Any:
    """Return the public part of the state."""
    if isinstance(value, list):
        return [_shown(inner) for inner in value]
    if isinstance(value, dict) and "state" in value and "sha" in value:
        return {name: inner for name, inner in value.items() if name != "sha"}
    return value


_REPOSITORY = "/repos/{owner}/{repo}"
_ROUTES: dict[str, Callable[..., Any]] = {
    "GET /user": GitHub._user,
    f"POST {_REPOSITORY}/statuses/{{sha}}": GitHub._post_status,
    f"GET {_REPOSITORY}/commits/{{ref}}/statuses": GitHub._list_statuses,
    f"GET {_REPOSITORY}/pulls": GitHub._list_pulls,
    f"GET {_REPOSITORY}/pulls/{{pull_number}}": GitHub._pull,
    f"GET {_REPOSITORY}/issues/{{issue_number}}": GitHub._issue,
    f"GET {_REPOSITORY}/issues/{{issue_number}}/comments": GitHub._list_comments,
    f"POST {_REPOSITORY}/issues/{{issue_number}}/comments": GitHub._post_comment,
    f"GET {_REPOSITORY}/issues/comments/{{comment_id}}": GitHub._get_comment,
    f"PATCH {_REPOSITORY}/issues/comments/{{comment_id}}": GitHub._patch_comment,
    f"DELETE {_REPOSITORY}/issues/comments/{{comment_id}}": GitHub._delete_comment,
    f"GET {_REPOSITORY}/rules/branches/{{branch}}": GitHub._branch_rules,
    f"GET {_REPOSITORY}/branches/{{branch}}": GitHub._branch,
    f"GET {_REPOSITORY}/contents/{{path}}": GitHub._contents,
    f"GET {_REPOSITORY}/compare/{{basehead}}": GitHub._compare,
    f"GET {_REPOSITORY}/actions/workflows/{{workflow_id}}/runs": GitHub._workflow_runs,
    f"GET {_REPOSITORY}/actions/runs/{{run_id}}/artifacts": GitHub._run_artifacts,
    f"GET {_REPOSITORY}/actions/artifacts/{{artifact_id}}/{{archive_format}}": GitHub._download,
}
_NEEDS = {what: "statuses" if "statuses" in what else "comments" for what in _ROUTES if not what.startswith("GET")}


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, lets the server's faults happen, and writes the answer."""

    github: GitHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: tests read `requests`."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

    def _serve(self) -> None:
        try:
            self._served()
        except Exception as error:  # noqa: BLE001 - fails the test in the end
            self.github.violations.append(f"the server broke: {error!r}")
            self._write(500, {"message": repr(error)}, {})

    def _served(self) -> None:
        split = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        body = json.loads(raw) if raw else None
        path = split.path.removeprefix(self.github.prefix)
        request = Request(self.command, path, body, dict(self.headers.items()), time.monotonic())
        with self.github.lock:
            self.github.requests.append(request)
            fault = self._fault(path)
        if fault and not fault.after and self._befalls(fault):
            return
        token = self.headers.get("Authorization", "").removeprefix("token ").removeprefix("Bearer ")
        if self.github.renamed and path.startswith(f"/repos/{REPOSITORY}/"):
            # GitHub drops nothing from the address of a repository that was renamed: it redirects to its number.
            moved = self.path.replace(f"/repos/{REPOSITORY}/", "/repositories/1296269/", 1)
            status = 301 if self.command == "GET" else 307
            self._write(status, {"message": "Moved"}, {"Location": f"http://{self.headers['Host']}{moved}"})
            return
        path = path.replace("/repositories/1296269/", f"/repos/{REPOSITORY}/", 1)
        if not split.path.startswith(self.github.prefix + "/"):
            self._write(404, {"message": "Not Found"}, {})
            return
        answer = self.github.answer(self.command, path, dict(parse_qsl(split.query)), body, token)
        if fault and fault.after and self._befalls(fault):
            return
        self._write(*answer)

    def _fault(self, path: str) -> Fault | None:
        for fault in self.github.faults:
            if fault.times > 0 and fault.method == self.command and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None

    def _befalls(self, fault: Fault) -> bool:
        if fault.silence:
            self.github.over.wait(fault.silence)
            self.close_connection = True
        elif fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        elif fault.page is not None:
            self._send(fault.status, fault.page, fault.headers)
        else:
            self._write(fault.status, {"message": fault.message}, fault.headers)
        return True

    def _write(self, status: int, body: Any, headers: dict[str, str]) -> None:
        self._send(status, b"" if body is None else json.dumps(body).encode(), headers)

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        try:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True
