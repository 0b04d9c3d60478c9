"""Reads the base branch's checklist from GitHub, as it was when the pull request's run began.

https://docs.github.com/en/rest/repos/contents#get-repository-content
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from gate.messages import say
from gate.publish.github import GitHub, GitHubError
from gate.publish.settings import Settings, at


def fetched(settings: Settings, files: Sequence[str], root: Path, folder: Path) -> list[Path] | None:
    """The files of the base, written below `folder` under their own names; None where the base has none of them.

    Raises GitHubError where GitHub does not say.
    """
    if not (settings.token and settings.repository):
        raise GitHubError(say("there is no token"))
    github = GitHub(settings)
    names = [_below(root, file) for file in files]
    found = {name: content for name in names if (content := _content(github, name)) is not None}
    if not found:
        github.get(f"{github.root}/branches/{quote(settings.branch, safe='')}")  # 404 here means: no right to look
        return None
    return [_written(folder / name, content) for name, content in found.items()]


def _below(root: Path, file: str) -> str:
    """The path of a file in the repository."""
    path = (root / file).resolve()
    if not path.is_relative_to(root.resolve()):
        raise GitHubError(say("{path} is not below the checkout", path=file))
    return str(PurePosixPath(path.relative_to(root.resolve())))


def _content(github: GitHub, name: str) -> bytes | None:
    path = f"{github.root}/contents/{quote(name)}?ref={quote(github.settings.base_commit, safe='')}"
    try:
        answer = github.get(path)
    except GitHubError as error:
        if error.status == 404:
            return None
        raise
    try:
        return base64.b64decode(str(at(answer, "content") or ""), validate=False)
    except binascii.Error as error:
        raise GitHubError(say("GitHub answered {path} with no file", path=name)) from error


def _written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
