"""The base branch's checklist beside the commit's own: which of the two counts, and what has become weaker."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gate.messages import Message, say
from gate.model import Reason

if TYPE_CHECKING:
    from gate.checklist.load import Loaded
    from gate.publish.settings import Settings

BY_API = "base"
"""The word that stands for the file of the base branch, as GitHub has it."""


@dataclass(frozen=True)
class Compared:
    """The checklist that counts, with what speaks against a GO, and what is reserved."""

    loaded: Loaded
    against: tuple[Reason, ...] = ()
    reservations: tuple[Reason, ...] = ()


def compared(loaded: Loaded, compare: str | None, policy: str, wishes: Settings) -> Compared:
    """What comes of `--compare` and `--policy`. A base that can't be read is a NO-GO where it is the authority."""
    from gate.checklist.changes import weaker
    from gate.checklist.load import load
    from gate.publish.github import GitHubError

    if not compare or (compare == BY_API and not wishes.base_commit):
        return Compared(loaded)
    try:
        base = load([compare]) if compare != BY_API else _by_api(loaded.files, wishes)
    except GitHubError as error:
        reason = Reason(message=say("The base branch's checklist could not be read: {why}", why=error.message))
        return Compared(loaded, against=(reason,)) if policy == "base" else Compared(loaded, reservations=(reason,))
    if base is None:
        return Compared(loaded, reservations=(Reason(message=_none(wishes)),))
    found = tuple(weaker(base.checklist, loaded.checklist))
    return Compared(base if policy == "base" else loaded, reservations=found)


def _none(wishes: Settings) -> Message:
    return say("{branch} has no checklist yet: there is nothing to compare with", branch=wishes.branch)


def _by_api(files: Sequence[str], wishes: Settings) -> Loaded | None:
    from gate.checklist.load import load
    from gate.publish.base import fetched

    with tempfile.TemporaryDirectory(prefix="prodgate-base-") as folder:
        paths = fetched(wishes, files, Path.cwd(), Path(folder))
        return _named(load(paths), Path(folder)) if paths else None


def _named(loaded: Loaded, folder: Path) -> Loaded:
    """With the names that the files have in the repository."""
    names = {file: str(Path(file).relative_to(folder)) for file in loaded.files}
    places = {path: replace(place, file=names.get(place.file, place.file)) for path, place in loaded.places.items()}
    return replace(loaded, files=tuple(names[file] for file in loaded.files), places=places)
