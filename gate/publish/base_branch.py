"""Reads the base branch's checklist from GitHub, as it was when the pull request's run began.

https://docs.github.com/en/rest/repos/contents#get-repository-content
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from gate.core.messages import msg
from gate.publish.github import GitHub, GitHubError
from gate.publish.settings import Settings, at

_AT_MOST = 20.0
"""Seconds for all of its files."""


def fetch_base_files(settings: Settings, files: Sequence[str], root: Path, folder: Path) -> list[Path] | None:
    """The files of the base, written below `folder` under their own names; None where the base has none of them.

    Raises GitHubError where GitHub does not say.
    """
    github = _github(settings)
    names = [_repo_path(root, file) for file in files]
    found = {name: content for name in names if (content := _content(github, name)) is not None}
    if not found:
        _check_read_access(github)
        return None
    return [_write_file(folder / name, content) for name, content in found.items()]


def texts(settings: Settings, files: Sequence[str], root: Path) -> dict[str, str]:
    """Return the texts of those files that the base has, by name. Raise GitHubError if GitHub does not answer."""
    github = _github(settings)
    found = {file: _content(github, _repo_path(root, file)) for file in files}
    return {file: content.decode("utf-8-sig", "replace") for file, content in found.items() if content is not None}


def _github(settings: Settings) -> GitHub:
    if not settings.base_commit:
        raise GitHubError(msg("the run has no commit of a base branch"))
    if not (settings.token and settings.repository):
        raise GitHubError(msg("there is no token"))
    return GitHub(settings, _AT_MOST)


def _check_read_access(github: GitHub) -> None:
    """Makes sure that there is a right to look: without it GitHub answers 404 to everything."""
    branch = github.settings.branch
    if at(github.get(f"{github.root}/branches/{quote(branch, safe='')}"), "name") != branch:
        raise GitHubError(msg("GitHub does not show the branch {branch}", branch=branch))


def _repo_path(root: Path, file: str) -> str:
    """The path of a file in the repository, by its name alone: where a link leads is the commit's own say."""
    path = Path(os.path.normpath(root / file))
    if not path.is_relative_to(root):
        raise GitHubError(msg("{path} is not below the checkout", path=file))
    name = path.relative_to(root)
    if any((root / part).is_symlink() for part in (name, *name.parents)):
        raise GitHubError(msg("{path} is a symbolic link, expected the file itself", path=file))
    return str(PurePosixPath(name))


def _content(github: GitHub, name: str) -> bytes | None:
    path = f"{github.root}/contents/{quote(name)}?ref={quote(github.settings.base_commit, safe='')}"
    try:
        response = github.get(path)
    except GitHubError as error:
        if error.status == 404:
            return None
        raise
    content, encoding = at(response, "content"), at(response, "encoding")
    try:
        if isinstance(content, str) and encoding == "base64":
            return base64.b64decode("".join(content.split()), validate=True)
    except binascii.Error:
        pass
    raise GitHubError(msg("GitHub answered {path} with no file", path=name))


def _write_file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
