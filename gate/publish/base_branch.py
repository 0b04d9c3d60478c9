"""Fetch the base branch's checklist from GitHub, at the commit that the event names as the base.

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
from gate.publish.settings import Settings
from gate.report.provenance import dig

# Seconds for all files.
_TIME_LIMIT = 20.0


def fetch_base_files(settings: Settings, files: Sequence[str], root: Path, folder: Path) -> list[Path] | None:
    """Write the base's version of `files` into `folder` under the same names, and return the paths.

    Return None if the base has none of the files. Raise GitHubError if GitHub does not give a clear answer.
    """
    github = _client(settings)
    names = [_repo_path(root, file) for file in files]
    contents = {name: content for name in names if (content := _fetch_content(github, name)) is not None}
    if not contents:
        _check_read_access(github)
        return None
    return [_write_file(folder / name, content) for name, content in contents.items()]


def fetch_base_texts(settings: Settings, files: Sequence[str], root: Path) -> dict[str, str]:
    """Return the base's version of `files` by name, without those it does not have. Raise GitHubError."""
    github = _client(settings)
    contents = {file: _fetch_content(github, _repo_path(root, file)) for file in files}
    return {file: content.decode("utf-8-sig", "replace") for file, content in contents.items() if content is not None}


def _client(settings: Settings) -> GitHub:
    if not settings.base_commit:
        raise GitHubError(msg("the event names no base commit"))
    if not (settings.token and settings.repository):
        raise GitHubError(msg("no token"))
    return GitHub(settings, _TIME_LIMIT)


def _check_read_access(github: GitHub) -> None:
    """Raise GitHubError if the token may not read the repository."""
    # Without that permission GitHub answers 404 to everything, which would read as "the base has no checklist".
    branch = github.settings.branch
    if dig(github.get(f"{github.root}/branches/{quote(branch, safe='')}"), "name") != branch:
        raise GitHubError(msg("GitHub does not show the branch {branch} to this token", branch=branch))


def _repo_path(root: Path, file: str) -> str:
    """Return the path of a file in the repository. Raise GitHubError if it is outside, or behind a symbolic link."""
    # The commit under test decides where a link leads, so following one would let it choose the base file.
    path = Path(os.path.normpath(root / file))
    if not path.is_relative_to(root):
        raise GitHubError(msg("{path}: not below the checkout", path=file))
    name = path.relative_to(root)
    if any((root / part).is_symlink() for part in (name, *name.parents)):
        raise GitHubError(msg("{path}: a symbolic link, expected the file itself", path=file))
    return str(PurePosixPath(name))


def _fetch_content(github: GitHub, name: str) -> bytes | None:
    """Return the content of a file at the base commit, or None if GitHub answers 404."""
    path = f"{github.root}/contents/{quote(name)}?ref={quote(github.settings.base_commit, safe='')}"
    try:
        response = github.get(path)
    except GitHubError as error:
        if error.status == 404:
            return None
        raise
    content, encoding = dig(response, "content"), dig(response, "encoding")
    try:
        if isinstance(content, str) and encoding == "base64":
            return base64.b64decode("".join(content.split()), validate=True)
    except binascii.Error:
        pass
    raise GitHubError(msg("{path}: GitHub did not return the content of a file", path=name))


def _write_file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
