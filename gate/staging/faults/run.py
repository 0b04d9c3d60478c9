"""`run`: a fault of the user's own: a command, and the command that takes it back."""

from __future__ import annotations

import threading
from typing import Annotated, ClassVar

from msgspec import Meta, field

from gate.core.messages import Message, msg
from gate.decode.quantities import DurationSeconds
from gate.runtime.processes import CompletedCommand
from gate.staging.faults.base import PROOF_TIMEOUT, Fault, FaultError, FaultSite
from gate.staging.spec import CommandLine
from gate.staging.user_commands import describe_failure, start_command


class Run(Fault):
    """Runs a command. Its proof is the exit code 0 of `proof`: that of `command` says only that it was run.

    What it leaves running is ended with the run.
    """

    kind: ClassVar[str] = "run"
    summary: ClassVar[str] = "a command of the user's own"

    command: Annotated[CommandLine, Meta(description="What puts the fault in.")]
    takes_back: Annotated[CommandLine, Meta(description="What takes it back. It has to work more than once.")] = field(
        name="undo"
    )
    proof: Annotated[CommandLine, Meta(description="A command that exits with 0 while the fault is in place only.")]
    timeout: Annotated[DurationSeconds, Meta(description="How long each command may take.")] = 30.0

    def inject(self, site: FaultSite) -> None:
        if _succeeds(self._done(self.proof, site, site.cancelled)):
            raise FaultError(msg("`proof` holds before the fault is in place: it proves nothing"))
        site.journal_intent("run_command", command=self.takes_back, folder=str(site.root), timeout=self.timeout)
        why = describe_failure(self.command[0], self._done(self.command, site, site.cancelled, leaves=True))
        if why is not None:
            raise FaultError(why)

    def verify_injected(self, site: FaultSite) -> Message | None:
        return msg("`proof` exits with 0") if _succeeds(self._done(self.proof, site, site.cancelled)) else None

    def verify_reverted(self, site: FaultSite) -> Message | None:
        done = self._done(self.proof, site, threading.Event())
        return msg("`proof` no longer exits with 0") if done.end_reason == "exit" and done.returncode != 0 else None

    def max_duration(self) -> float:
        """Each proof is asked for once at least, and may begin at the last moment: five commands in all."""
        return 5 * self.timeout + 2 * PROOF_TIMEOUT

    def describe(self) -> Message:
        return msg(
            "run `{command}`, and `{undo}` afterwards", command=" ".join(self.command), undo=" ".join(self.takes_back)
        )

    def _done(
        self, command: list[str], site: FaultSite, cancelled: threading.Event, *, leaves: bool = False
    ) -> CompletedCommand:
        journal = site.journal
        try:
            return start_command(
                command,
                root=site.root,
                timeout=self.timeout,
                on_group_created=journal.record_process,
                env_marker=journal.env_marker,
                cancelled=cancelled,
                keep_background_processes=leaves,
            ).wait()
        except OSError as error:
            raise FaultError(msg("`{command}` could not be run: {why}", command=command[0], why=str(error))) from error


def _succeeds(done: CompletedCommand) -> bool:
    return done.end_reason == "exit" and done.returncode == 0
