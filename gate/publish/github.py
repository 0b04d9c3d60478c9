"""Asks GitHub's REST API with a policy of our own: bounded in time, honest about limits, never a write done twice.

PyGithub's own retries are off: they repeat a POST blindly, and wait for hours. Limits:
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from gate.core.messages import Message, msg
from gate.decode.quantities import format_duration
from gate.publish.settings import PERMISSIONS, Settings

_PAGES = 100
_SECONDARY = 60.0
"""Seconds to wait where GitHub limits and does not say for how long."""
_LONGEST = 300
_NEVER = threading.Event()


class GitHubError(Exception):
    """A request that GitHub did not do. `rights`: the token may not; `status` is 0 where there was no answer."""

    def __init__(self, message: Message, *, status: int = 0, rights: bool = False) -> None:
        super().__init__(str(message))
        self.message = message
        self.status = status
        self.rights = rights


class _RetryableError(Exception):
    """A failure after which the request may be tried again, `after` so many seconds where GitHub said so."""

    def __init__(self, message: Message, status: int, after: float | None) -> None:
        super().__init__(str(message))
        self.message, self.status, self.after = message, status, after


class GitHub:
    """One repository on GitHub, for one purpose, which may spend `at_most` so many seconds of the common budget.

    An `optional` purpose is not tried where GitHub has just been given up.
    """

    def __init__(self, settings: Settings, at_most: float | None = None, *, optional: bool = False) -> None:
        import requests  # not in a request's thread: two that load it at once find half of it
        from github import GithubException

        self._refusal = GithubException
        self._network = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
        self.settings = settings
        self.share = settings.budget.share(at_most)
        self.optional = optional
        self._client: Any = None

    @property
    def root(self) -> str:
        """The path of the repository."""
        return "/repos/" + quote(self.settings.repository)

    def get(self, path: str) -> dict[str, Any]:
        """The object that stands at a path."""
        return _object("GET", path, self._request_with_retries("GET", path, None, None)[1])

    def paginate(self, path: str, limit: int = _PAGES) -> Iterator[dict[str, Any]]:
        """The objects of a list, over all its pages, of which there are at most `limit`."""
        mark = "&" if "?" in path else "?"
        for page in range(1, limit + 1):
            headers, entries = self._request_with_retries("GET", f"{path}{mark}per_page=100&page={page}", None, None)
            if not isinstance(entries, list):
                raise unexpected_response_error("GET", path)
            yield from (_object("GET", path, entry) for entry in entries)
            if 'rel="next"' not in str(headers.get("link", "")):
                return

    def redirect_target(self, path: str) -> str:
        """The address that stands in an answer's `Location`, empty where it has none: it is not followed."""
        return str(self._request_with_retries("GET", path, None, None)[0].get("location", ""))

    def post(self, path: str, body: dict[str, Any], done: Callable[[], Any]) -> dict[str, Any]:
        """Makes something, and returns it. Where a try may have been done, `done` looks for it before the next."""
        return _made("POST", path, self._request_with_retries("POST", path, body, done)[1])

    def patch(self, path: str, body: dict[str, Any]) -> None:
        """Changes something; doing it twice changes nothing more."""
        _made("PATCH", path, self._request_with_retries("PATCH", path, body, None)[1])

    def delete(self, path: str) -> None:
        """Removes something."""
        if self._request_with_retries("DELETE", path, None, None)[1] is not None:
            raise unexpected_response_error("DELETE", path)

    def _request_with_retries(
        self, method: str, path: str, body: Any, done: Callable[[], Any] | None
    ) -> tuple[dict[str, Any], Any]:
        """Tries until it is done, refused, or the time would be over: then an answer says more than a silence."""
        pause, answered = self.settings.retry_policy.initial_delay, None
        self._check_available(method, path)
        while True:
            try:
                return self._attempt(method, path, body)
            except _RetryableError as failure:
                answered = failure if failure.status else answered
                wait = pause if failure.after is None else failure.after
                enough = wait < self.share.remaining
                if enough:
                    self.share.wait(wait, _NEVER)
                if not enough or self.share.remaining <= 0:
                    raise self._mark_unresponsive(answered or failure) from failure
                pause *= 2
                if done and failure.status not in (403, 429) and (made := done()) is not None:
                    return {}, made

    def _check_available(self, method: str, path: str) -> None:
        """Raises GitHubError where there is nowhere or no time left to ask, or where GitHub has just been given up."""
        if not _is_address(self.settings.api_url):
            url = self.settings.secrets.redact(self.settings.api_url)
            raise GitHubError(
                msg("{url} is no address of an API, expected GITHUB_API_URL as the runner sets it", url=repr(url))
            )
        if self.share.remaining <= 0:
            raise GitHubError(msg("{method} {path} was not asked: the time for GitHub is over", **_what(method, path)))
        if self.optional and self.settings.budget.silent:
            raise GitHubError(
                msg("{method} {path} was not asked: GitHub has just been given up", **_what(method, path))
            )

    def _mark_unresponsive(self, failure: _RetryableError) -> GitHubError:
        self.settings.budget.silent = True
        message = failure.message
        if failure.after is not None:
            wait = format_duration(failure.after)
            message = msg("{why}; it asks to wait {wait}, longer than we do", why=failure.message, wait=wait)
        return GitHubError(message, status=failure.status)

    def _attempt(self, method: str, path: str, body: Any) -> tuple[dict[str, Any], Any]:
        """One try, in a thread, because PyGithub bounds a read but not a whole answer."""
        box: list[Any] = []
        answered = threading.Event()

        def send() -> None:
            box.append(self._send(method, path, body))
            answered.set()

        before = self.settings.budget.spent
        threading.Thread(target=send, daemon=True).start()
        if not self.share.wait(self.settings.retry_policy.timeout, answered):
            self._client = None
            waited = format_duration(self.settings.budget.spent - before)
            text = msg("GitHub did not answer {method} {path} within {limit}", limit=waited, **_what(method, path))
            raise _RetryableError(text, 0, None)
        if not isinstance(box[0], _RetryableError):
            self.settings.budget.silent = False
        if isinstance(box[0], Exception):
            raise box[0]
        headers, response = box[0]
        return headers, response

    def _send(self, method: str, path: str, body: Any) -> Any:
        try:
            return self._requester().requestJsonAndCheck(method, path, input=body)
        except self._refusal as error:
            return self._error_from_response(method, path, error.status, error.headers or {}, error.data)
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the verdict stands
            why = self.settings.secrets.redact(_reason(error))[:_LONGEST]
            text = msg("{method} {path} failed: {why}", why=why, **_what(method, path))
            return _RetryableError(text, 0, None) if isinstance(error, self._network) else GitHubError(text)

    def _requester(self) -> Any:
        if self._client is None:
            import github

            settings = self.settings
            self._client = github.Github(
                auth=github.Auth.Token(settings.token),
                base_url=settings.api_url.rstrip("/"),
                timeout=max(1, round(settings.retry_policy.timeout)),
                retry=None,
                user_agent="prodgate",
                seconds_between_requests=0,
                seconds_between_writes=settings.retry_policy.write_interval,
            ).requester
        return self._client

    def _error_from_response(
        self, method: str, path: str, status: int, headers: dict[str, str], data: Any
    ) -> Exception:
        """What an answer of 400 or more means: try again, no right to it, or wrong."""
        own = isinstance(data, dict) and "message" in data
        text = str(data["message"] if own else data)
        why = self.settings.secrets.redact(text)[:_LONGEST]
        said = msg(
            "GitHub answered {method} {path} with {status}: {why}", status=status, why=why, **_what(method, path)
        )
        if status in (403, 429) and (wait := _limited(headers, text, status)) is not None:
            return _RetryableError(said, status, wait)
        if status >= 500:
            after = headers.get("retry-after", "")
            return _RetryableError(said, status, float(after) if after.isdecimal() else None)
        return GitHubError(said, status=status, rights=own and status in (403, 404))


def _limited(headers: dict[str, str], text: str, status: int) -> float | None:
    """Seconds to wait where an answer speaks of a limit; None where it does not."""
    if (after := headers.get("retry-after", "")).isdecimal():
        return float(after)
    if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdecimal():
        return max(1.0, float(headers["x-ratelimit-reset"]) - time.time())
    return _SECONDARY if status == 429 or "rate limit" in text.lower() else None


def unexpected_response_error(method: str, path: str) -> GitHubError:
    """The error for an answer that says yes and is nothing that GitHub would say, such as a proxy's page."""
    return GitHubError(msg("{method} {path} was answered with something that is not GitHub's", **_what(method, path)))


def _object(method: str, path: str, response: Any) -> dict[str, Any]:
    if not isinstance(response, dict):
        raise unexpected_response_error(method, path)
    return response


def _made(method: str, path: str, response: Any) -> dict[str, Any]:
    """What was made or changed: GitHub gives it a number."""
    made = _object(method, path, response)
    if type(made.get("id")) is not int:
        raise unexpected_response_error(method, path)
    return made


def _is_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _what(method: str, path: str) -> dict[str, str]:
    return {"method": method, "path": urlsplit(path).path}


def _reason(error: BaseException) -> str:
    """The innermost cause in few words."""
    while error.__context__ is not None:
        error = error.__context__
    return f"{type(error).__name__}: {error}"


def permission_message(what: Message, error: GitHubError) -> Message:
    """What could not be done for want of rights, and the lines of the workflow that give them."""
    return msg(
        "{what}: {why}. The token may not. Give the job these rights: `{permissions}`. For pull requests from forks "
        "and from Dependabot GitHub gives none, whatever the workflow says: read the summary and the exit code",
        what=what,
        why=error.message,
        permissions=PERMISSIONS,
    )
