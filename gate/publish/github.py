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

from gate.messages import Message, say
from gate.publish.settings import PERMISSIONS, Settings
from gate.quantities import duration

_PAGES = 100
_SECONDARY = 60.0
"""Seconds to wait where GitHub limits and does not say for how long."""
_LONGEST = 300


class GitHubError(Exception):
    """A request that GitHub did not do. `rights`: the token may not; `status` is 0 where there was no answer."""

    def __init__(self, message: Message, *, status: int = 0, rights: bool = False) -> None:
        super().__init__(str(message))
        self.message = message
        self.status = status
        self.rights = rights


class _Again(Exception):
    """A failure after which the request may be tried again, `after` so many seconds where GitHub said so."""

    def __init__(self, message: Message, status: int, after: float | None) -> None:
        super().__init__(str(message))
        self.message, self.status, self.after = message, status, after


class GitHub:
    """One repository on GitHub. All requests of one object share a time budget."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.over = time.monotonic() + settings.patience.budget
        self._client: Any = None

    @property
    def root(self) -> str:
        """The path of the repository."""
        return "/repos/" + quote(self.settings.repository)

    def get(self, path: str) -> Any:
        """What stands at a path."""
        return self._asked("GET", path, None, None)[1]

    def pages(self, path: str, limit: int = _PAGES) -> Iterator[Any]:
        """The entries of a list, over all its pages, of which there are at most `limit`."""
        mark = "&" if "?" in path else "?"
        for page in range(1, limit + 1):
            headers, entries = self._asked("GET", f"{path}{mark}per_page=100&page={page}", None, None)
            if not isinstance(entries, list):
                raise GitHubError(
                    say("GitHub answered {path} with something that is no list", path=urlsplit(path).path)
                )
            yield from entries
            if 'rel="next"' not in str(headers.get("link", "")):
                return

    def post(self, path: str, body: dict[str, Any], done: Callable[[], Any]) -> Any:
        """Makes something. Where it is not known whether a try was done, `done` looks for it before the next."""
        return self._asked("POST", path, body, done)[1]

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """Changes something; doing it twice changes nothing more."""
        return self._asked("PATCH", path, body, None)[1]

    def delete(self, path: str) -> None:
        """Removes something."""
        self._asked("DELETE", path, None, None)

    def _asked(self, method: str, path: str, body: Any, done: Callable[[], Any] | None) -> tuple[dict[str, Any], Any]:
        """Tries until it is done, refused, or the budget would be over."""
        pause = self.settings.patience.pause
        while True:
            try:
                return self._once(method, path, body)
            except _Again as failure:
                wait = pause if failure.after is None else failure.after
                if time.monotonic() + wait >= self.over:
                    raise self._given_up(failure, wait) from failure
                time.sleep(wait)
                pause *= 2
                if done and failure.status not in (403, 429) and (made := done()) is not None:
                    return {}, made

    def _given_up(self, failure: _Again, wait: float) -> GitHubError:
        message = failure.message
        if failure.after is not None:
            message = say("{why}; it asks to wait {wait}, longer than we do", why=failure.message, wait=duration(wait))
        return GitHubError(message, status=failure.status)

    def _once(self, method: str, path: str, body: Any) -> tuple[dict[str, Any], Any]:
        """One try, in a thread, because PyGithub bounds a read but not a whole answer."""
        limit = max(0.1, min(self.settings.patience.request, self.over - time.monotonic()))
        box: list[Any] = []
        thread = threading.Thread(target=lambda: box.append(self._sent(method, path, body)), daemon=True)
        thread.start()
        thread.join(limit)
        if not box:
            self._client = None
            text = say(
                "GitHub did not answer {method} {path} within {limit}", limit=duration(limit), **_what(method, path)
            )
            raise _Again(text, 0, None)
        if isinstance(box[0], Exception):
            raise box[0]
        headers, answer = box[0]
        return headers, answer

    def _sent(self, method: str, path: str, body: Any) -> Any:
        from github import GithubException

        try:
            return self._requester().requestJsonAndCheck(method, path, input=body)
        except GithubException as error:
            return self._refused(method, path, error.status, error.headers or {}, error.data)
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the verdict stands
            why = self.settings.secrets.hide(_reason(error))[:_LONGEST]
            return _Again(say("{method} {path} failed: {why}", why=why, **_what(method, path)), 0, None)

    def _requester(self) -> Any:
        if self._client is None:
            import github

            settings = self.settings
            self._client = github.Github(
                auth=github.Auth.Token(settings.token),
                base_url=settings.api_url.rstrip("/"),
                timeout=max(1, round(settings.patience.request)),
                retry=None,
                user_agent="prodgate",
                seconds_between_requests=0,
                seconds_between_writes=settings.patience.between_writes,
            ).requester
        return self._client

    def _refused(self, method: str, path: str, status: int, headers: dict[str, str], data: Any) -> Exception:
        """What an answer of 400 or more means: try again, no right to it, or wrong."""
        text = str(data.get("message", "")) if isinstance(data, dict) else str(data)
        why = self.settings.secrets.hide(text)[:_LONGEST]
        said = say(
            "GitHub answered {method} {path} with {status}: {why}", status=status, why=why, **_what(method, path)
        )
        if status in (403, 429) and (wait := _limited(headers, text, status)) is not None:
            return _Again(said, status, wait)
        if status >= 500:
            after = headers.get("retry-after", "")
            return _Again(said, status, float(after) if after.isdecimal() else None)
        return GitHubError(said, status=status, rights=status in (403, 404))


def _limited(headers: dict[str, str], text: str, status: int) -> float | None:
    """Seconds to wait where an answer speaks of a limit; None where it does not."""
    if (after := headers.get("retry-after", "")).isdecimal():
        return float(after)
    if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdecimal():
        return max(1.0, float(headers["x-ratelimit-reset"]) - time.time())
    return _SECONDARY if status == 429 or "rate limit" in text.lower() else None


def _what(method: str, path: str) -> dict[str, str]:
    return {"method": method, "path": urlsplit(path).path}


def _reason(error: BaseException) -> str:
    """The innermost cause in few words."""
    while error.__context__ is not None:
        error = error.__context__
    return f"{type(error).__name__}: {error}"


def missing_rights(what: Message, error: GitHubError) -> Message:
    """What could not be done for want of rights, and the lines of the workflow that give them."""
    return say(
        "{what}: {why}. The token may not. Give the job these rights: `{permissions}`. For pull requests from forks "
        "and from Dependabot GitHub gives none, whatever the workflow says: read the summary and the exit code",
        what=what,
        why=error.message,
        permissions=PERMISSIONS,
    )
