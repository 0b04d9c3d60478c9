"""`run`: a fault of the user's own: a command, and the command that takes it back."""

from __future__ import annotations

import threading
from typing import Annotated, ClassVar

from msgspec import Meta, field

from gate.messages import Message, say
from gate.process import Finished
from gate.quantities import Duration
from gate.staging.faults.base import PROOF_PATIENCE, Fault, NoFault, Site
from gate.staging.script import begin, trouble
from gate.staging.spec import Words


class Run(Fault):
    """Runs a command. Its proof is the exit code 0 of `proof`: that of `command` says only that it was run.

    What it leaves running is ended with the run.
    """

    kind: ClassVar[str] = "run"
    summary: ClassVar[str] = "a command of the user's own"

    command: Annotated[Words, Meta(description="What puts the fault in.")]
    takes_back: Annotated[Words, Meta(description="What takes it back. It has to work more than once.")] = field(
        name="undo"
    )
    proof: Annotated[Words, Meta(description="A command that exits with 0 while the fault is in place only.")]
    timeout: Annotated[Duration, Meta(description="How long each command may take.")] = 30.0

    def inject(self, site: Site) -> None:
        if _succeeds(self._done(self.proof, site, site.cancelled)):
            raise NoFault(say("`proof` holds before the fault is in place: it proves nothing"))
        site.will("run_command", command=self.takes_back, folder=str(site.root), timeout=self.timeout)
        why = trouble(self.command[0], self._done(self.command, site, site.cancelled, leaves=True))
        if why is not None:
            raise NoFault(why)

    def holds(self, site: Site) -> Message | None:
        return say("`proof` exits with 0") if _succeeds(self._done(self.proof, site, site.cancelled)) else None

    def gone(self, site: Site) -> Message | None:
        done = self._done(self.proof, site, threading.Event())
        return say("`proof` no longer exits with 0") if done.ended == "exit" and done.code != 0 else None

    def takes(self) -> float:
        """Each proof is asked for once at least, and may begin at the last moment: five commands in all."""
        return 5 * self.timeout + 2 * PROOF_PATIENCE

    def effect(self) -> Message:
        return say(
            "run `{command}`, and `{undo}` afterwards", command=" ".join(self.command), undo=" ".join(self.takes_back)
        )

    def _done(self, command: list[str], site: Site, cancelled: threading.Event, *, leaves: bool = False) -> Finished:
        journal = site.journal
        try:
            return begin(
                command,
                root=site.root,
                timeout=self.timeout,
                born=journal.born,
                mark=journal.mark,
                cancelled=cancelled,
                leaves=leaves,
            ).wait()
        except OSError as error:
            raise NoFault(say("`{command}` could not be run: {why}", command=command[0], why=str(error))) from error


def _succeeds(done: Finished) -> bool:
    return done.ended == "exit" and done.code == 0
