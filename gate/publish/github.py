"""Request GitHub's REST API: bounded in time, aware of rate limits, and without duplicate writes.

PyGithub's own retries are off: they repeat a POST blindly, and wait for hours. Rate limits:
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from gate.core.errors import GateError
from gate.core.messages import Message, msg
from gate.decode.quantities import format_duration
from gate.publish.settings import PERMISSIONS, Settings

_MAX_PAGES = 100
_MAX_REDIRECTS = 3
# How GitHub addresses a repository whatever its name: requests to its old name are redirected there.
# https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
_REPOSITORY_ROOT = re.compile(r"/repositories/\d+|/repos/[^/?]+/[^/?]+")
# Seconds to wait after a secondary rate limit if the response names no time.
_SECONDARY_LIMIT_DELAY = 60.0
# Characters of an error's text.
_MAX_ERROR_LENGTH = 300
# Waiting for it spends the budget without an event to wait for.
_NEVER = threading.Event()


class GitHubError(GateError):
    """A failed request. `status` is 0 without a response; `forbidden` if the token lacks the permission."""

    def __init__(self, message: Message, *, status: int = 0, forbidden: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.forbidden = forbidden


class _RetryableError(GateError):
    """A failure that a retry may mend. `delay` is the time in seconds that GitHub asks to wait, if it does."""

    def __init__(self, message: Message, status: int, delay: float | None) -> None:
        super().__init__(message)
        self.status, self.delay = status, delay


class GitHub:
    """A client for one repository and one purpose, which may spend `time_limit` seconds of the process's budget.

    An `optional` client does not send requests if GitHub did not respond to the last one.
    """

    def __init__(self, settings: Settings, time_limit: float | None = None, *, optional: bool = False) -> None:
        # Not in a request's thread: two threads that import it at the same time see a half-initialised module.
        import github  # noqa: F401
        import requests

        self._network_errors = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
        self.settings = settings
        self.allowance = settings.budget.allowance(time_limit)
        self.optional = optional
        self._client: Any = None

    @property
    def root(self) -> str:
        """Return the API path of the repository: the current one, if it was renamed."""
        root = "/repos/" + quote(self.settings.repository)
        return self.settings.moved_roots.get(root, root)

    def get(self, path: str) -> dict[str, Any]:
        """Return the object at a path. Raise GitHubError."""
        return _require_object("GET", path, self._request_with_retries("GET", path, None, None)[1])

    def paginate(self, path: str, limit: int = _MAX_PAGES) -> Iterator[dict[str, Any]]:
        """Yield the objects of a list, from at most `limit` pages of 100. Raise GitHubError."""
        page = f"{path}{'&' if '?' in path else '?'}per_page=100"
        for _ in range(limit):
            headers, entries = self._request_with_retries("GET", page, None, None)
            if not isinstance(entries, list):
                raise unexpected_response_error("GET", path)
            yield from (_require_object("GET", path, entry) for entry in entries)
            # The link is followed instead of counting pages: the pages of a renamed repository have another size.
            next_page = self._next_page(headers)
            if next_page is None:
                return
            page = next_page

    def _next_page(self, headers: dict[str, Any]) -> str | None:
        """Return the path of the next page of a list, if there is one. Raise GitHubError if another server has it."""
        from requests.utils import parse_header_links

        links = parse_header_links(str(headers.get("link", "")))
        url = next((str(link["url"]) for link in links if link.get("rel") == "next"), None)
        return None if url is None else self._own_path(url)

    def _own_path(self, url: str) -> str:
        """Return the path of a URL of the API. Raise GitHubError for a URL of another server, which gets no token."""
        api_url = self.settings.api_url.rstrip("/")
        if not url.startswith(api_url + "/"):
            raise GitHubError(
                msg("{url}: redirected to another server than {api}", url=url[:_MAX_ERROR_LENGTH], api=api_url)
            )
        return url[len(api_url) :]

    def redirect_target(self, path: str) -> str:
        """Return the `Location` of a response without following it; "" if it has none. Raise GitHubError."""
        return str(self._request_with_retries("GET", path, None, None)[0].get("location", ""))

    def post(self, path: str, body: dict[str, Any], find_created: Callable[[], Any]) -> dict[str, Any]:
        """Create an object and return it. Raise GitHubError.

        `find_created` returns the object if it exists already: an attempt that failed may have created it.
        """
        return _require_id("POST", path, self._request_with_retries("POST", path, body, find_created)[1])

    def patch(self, path: str, body: dict[str, Any]) -> None:
        """Update an object. Raise GitHubError."""
        _require_id("PATCH", path, self._request_with_retries("PATCH", path, body, None)[1])

    def delete(self, path: str) -> None:
        """Delete an object. Raise GitHubError."""
        if self._request_with_retries("DELETE", path, None, None)[1] is not None:
            raise unexpected_response_error("DELETE", path)

    def _request_with_retries(
        self, method: str, path: str, body: Any, find_created: Callable[[], Any] | None
    ) -> tuple[dict[str, Any], Any]:
        """Send a request until it succeeds, is refused, or the time is used up. Return the headers and the body."""
        next_delay, last_response = self.settings.retry_policy.initial_delay, None
        self._check_available(method, path)
        while True:
            try:
                return self._attempt(method, path, body)
            except _RetryableError as failure:
                # An error that GitHub responded with explains more than a timeout after it.
                last_response = failure if failure.status else last_response
                delay = next_delay if failure.delay is None else failure.delay
                has_time = delay < self.allowance.remaining
                if has_time:
                    self.allowance.wait(delay, _NEVER)
                if not has_time or self.allowance.remaining <= 0:
                    raise self._mark_unresponsive(last_response or failure) from failure
                next_delay *= 2
                # A request that was rejected for a rate limit created nothing.
                rejected = failure.status in (403, 429)
                if find_created and not rejected and (created := find_created()) is not None:
                    return {}, created

    def _check_available(self, method: str, path: str) -> None:
        """Raise GitHubError if the API's URL is not valid, no time is left, or an optional request has no chance."""
        if not _is_url(self.settings.api_url):
            url = self.settings.secrets.redact(self.settings.api_url)
            raise GitHubError(
                msg("GITHUB_API_URL: {url} is not an http(s) URL; leave it as the runner sets it", url=repr(url))
            )
        if self.allowance.remaining <= 0:
            raise GitHubError(msg("{method} {path}: not sent, no time left for GitHub", **_request_args(method, path)))
        if self.optional and self.settings.budget.unresponsive:
            raise GitHubError(
                msg("{method} {path}: not sent, GitHub did not respond before", **_request_args(method, path))
            )

    def _mark_unresponsive(self, failure: _RetryableError) -> GitHubError:
        """Return the final error, and let optional clients send nothing more."""
        self.settings.budget.unresponsive = True
        message = failure.message
        if failure.delay is not None:
            delay = format_duration(failure.delay)
            message = msg("{why}; GitHub asks to wait {delay}, which is too long", why=failure.message, delay=delay)
        return GitHubError(message, status=failure.status)

    def _attempt(self, method: str, path: str, body: Any) -> tuple[dict[str, Any], Any]:
        """Send a request once, within the timeout of an attempt. Raise GitHubError or _RetryableError."""
        # In a thread, because the timeout of PyGithub bounds each read, but not the whole response.
        results: list[Any] = []
        finished = threading.Event()

        def send() -> None:
            results.append(self._send(method, path, body))
            finished.set()

        spent_before = self.settings.budget.spent
        threading.Thread(target=send, daemon=True).start()
        if not self.allowance.wait(self.settings.retry_policy.timeout, finished):
            self._client = None  # the thread still uses it
            waited = format_duration(self.settings.budget.spent - spent_before)
            text = msg("{method} {path}: no response within {limit}", limit=waited, **_request_args(method, path))
            raise _RetryableError(text, 0, None)
        if not isinstance(results[0], _RetryableError):
            self.settings.budget.unresponsive = False
        if isinstance(results[0], Exception):
            raise results[0]
        headers, response = results[0]
        return headers, response

    def _send(self, method: str, path: str, body: Any) -> Any:
        """Return what PyGithub returns, or the exception to raise. Runs in a thread, so it must not raise."""
        try:
            for _ in range(_MAX_REDIRECTS):
                status, headers, text = self._requester().requestJson(method, path, input=body)
                if status not in (307, 308) or not headers.get("location"):
                    break
                path = self._follow(path, headers["location"])
            if status >= 400:
                return self._error_from_response(method, path, status, headers, _parse(text))
            return headers, _parse(text)
        except GitHubError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the verdict stands
            why = self.settings.secrets.redact(_innermost_cause(error))[:_MAX_ERROR_LENGTH]
            text = msg("{method} {path}: {why}", why=why, **_request_args(method, path))
            return _RetryableError(text, 0, None) if isinstance(error, self._network_errors) else GitHubError(text)

    def _follow(self, path: str, location: str) -> str:
        """Return the path of a redirect, and remember the repository's new root. PyGithub follows only a 301."""
        target = self._own_path(location)
        if path.startswith(self.root) and (moved := _REPOSITORY_ROOT.match(target)):
            self.settings.moved_roots["/repos/" + quote(self.settings.repository)] = moved[0]
        return target

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
        """Return the exception for a response with a status of 400 or more."""
        # A 403 or 404 without GitHub's own body comes from a proxy, and says nothing about permissions.
        is_githubs = isinstance(data, dict) and "message" in data
        reason = str(data["message"] if is_githubs else data)
        why = self.settings.secrets.redact(reason)[:_MAX_ERROR_LENGTH]
        text = msg("{method} {path}: HTTP {status}: {why}", status=status, why=why, **_request_args(method, path))
        if status in (403, 429) and (delay := _rate_limit_delay(headers, reason, status)) is not None:
            return _RetryableError(text, status, delay)
        if status >= 500:
            retry_after = headers.get("retry-after", "")
            return _RetryableError(text, status, float(retry_after) if retry_after.isdecimal() else None)
        return GitHubError(text, status=status, forbidden=is_githubs and status in (403, 404))


def _parse(text: str) -> Any:
    """Return the JSON of a response; None if it is empty, and a text that is not JSON as it is."""
    if not text:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _rate_limit_delay(headers: dict[str, str], reason: str, status: int) -> float | None:
    """Return the seconds to wait if a response is about a rate limit, else None."""
    if (retry_after := headers.get("retry-after", "")).isdecimal():
        return float(retry_after)
    if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdecimal():
        return max(1.0, float(headers["x-ratelimit-reset"]) - time.time())
    return _SECONDARY_LIMIT_DELAY if status == 429 or "rate limit" in reason.lower() else None


def unexpected_response_error(method: str, path: str) -> GitHubError:
    """Return the error for a successful response that is not GitHub's, such as the page of a proxy."""
    return GitHubError(msg("{method} {path}: the response is not from GitHub", **_request_args(method, path)))


def _require_object(method: str, path: str, response: Any) -> dict[str, Any]:
    if not isinstance(response, dict):
        raise unexpected_response_error(method, path)
    return response


def _require_id(method: str, path: str, response: Any) -> dict[str, Any]:
    """Return a created or updated object. Raise GitHubError if it lacks the id that GitHub gives every object."""
    entity = _require_object(method, path, response)
    if type(entity.get("id")) is not int:
        raise unexpected_response_error(method, path)
    return entity


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _request_args(method: str, path: str) -> dict[str, str]:
    return {"method": method, "path": urlsplit(path).path}


def _innermost_cause(error: BaseException) -> str:
    """Return the type and the text of the exception that caused all others."""
    while error.__context__ is not None:
        error = error.__context__
    return f"{type(error).__name__}: {error}"


def permission_message(what: Message, error: GitHubError) -> Message:
    """Return the message for an action that failed for lack of permissions, with the lines that grant them."""
    return msg(
        "{what}: {why}. The token lacks the permission; give the job `{permissions}`. Runs for pull requests from "
        "forks and from Dependabot have no write permission: read the job summary and the exit code instead",
        what=what,
        why=error.message,
        permissions=PERMISSIONS,
    )
