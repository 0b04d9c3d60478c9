"""The base branch's checklist beside the commit's own: which of the two counts, and what has become weaker."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from gate.messages import Message, say
from gate.model import Reason

if TYPE_CHECKING:
    from gate.checklist.load import Loaded
    from gate.checklist.problems import ChecklistError, Place
    from gate.publish.github import GitHubError
    from gate.publish.settings import Settings

BY_API = "base"
"""The word that stands for the file of the base branch, as GitHub has it."""


class Compared(Struct, frozen=True):
    """The checklist that counts, with what speaks against a GO, and what is reserved."""

    loaded: Loaded
    against: tuple[Reason, ...] = ()
    reservations: tuple[Reason, ...] = ()


def compared(loaded: Loaded, compare: str | None, policy: str, wishes: Settings) -> Compared:
    """What comes of `--compare` and `--policy`. A base that can't be had is a NO-GO where it is the authority.

    Raises ChecklistError for a policy without anything to compare.
    """
    from gate.checklist.changes import weaker
    from gate.checklist.load import load
    from gate.checklist.problems import ChecklistError, Place, Problem
    from gate.publish.github import GitHubError

    if policy == "base" and not compare:
        raise ChecklistError([Problem(Place("--policy"), "'base' needs a checklist, expected '--compare' beside it")])
    if not compare or (compare == BY_API and wishes.on_base):
        return Compared(loaded)
    try:
        base = load([compare]) if compare != BY_API else _by_api(loaded.files, wishes)
    except (GitHubError, ChecklistError) as error:
        reason = Reason(message=_not_had(error))
        return Compared(loaded, against=(reason,)) if policy == "base" else Compared(loaded, reservations=(reason,))
    if base is None:
        return Compared(loaded, reservations=(Reason(message=_none(wishes)),))
    found = tuple(weaker(base.checklist, loaded.checklist))
    return Compared(base if policy == "base" else loaded, reservations=found)


def _not_had(error: GitHubError | ChecklistError) -> Message:
    from gate.publish.github import GitHubError

    if isinstance(error, GitHubError):
        return say("The base branch's checklist could not be read: {why}", why=error.message)
    return say("The base branch's checklist is wrong: {why}", why=str(error.problems[0]))


def _none(wishes: Settings) -> Message:
    return say("{branch} has no checklist yet: there is nothing to compare with", branch=wishes.branch)


def _by_api(files: Sequence[str], wishes: Settings) -> Loaded | None:
    from gate.checklist.load import load
    from gate.checklist.problems import ChecklistError
    from gate.publish.base import fetched

    with tempfile.TemporaryDirectory(prefix="prodgate-base-") as folder:
        paths = fetched(wishes, files, Path.cwd(), Path(folder))
        if not paths:
            return None
        names = {str(path): str(path.relative_to(folder)) for path in paths}
        try:
            return _named(load(paths), names)
        except ChecklistError as error:
            raise _of_branch(error, names, wishes.branch) from error


def _named(loaded: Loaded, names: Mapping[str, str]) -> Loaded:
    """With the names that the files have in the repository."""
    places = {
        path: structs.replace(place, file=names.get(place.file, place.file)) for path, place in loaded.places.items()
    }
    return structs.replace(loaded, files=tuple(names[file] for file in loaded.files), places=places)


def _of_branch(error: ChecklistError, names: Mapping[str, str], branch: str) -> ChecklistError:
    """The error with the names that the files have on the branch: the commit's own may well be right."""
    from gate.checklist.problems import ChecklistError

    def named(place: Place) -> Place:
        return structs.replace(place, file=f"{branch}:{names[place.file]}") if place.file in names else place

    return ChecklistError(structs.replace(problem, place=named(problem.place)) for problem in error.problems)
