"""`run`: a fault defined by the user: a command, and the command that reverts it."""

from __future__ import annotations

import threading
from typing import Annotated, ClassVar

from msgspec import Meta, field

from gate.core.messages import Message, msg
from gate.core.override import override
from gate.decode.quantities import DurationSeconds
from gate.runtime.processes import CompletedCommand
from gate.staging.faults.base import PROOF_TIMEOUT, Fault, FaultError, FaultSite
from gate.staging.spec import CommandLine
from gate.staging.user_commands import describe_failure, start_command


class Run(Fault):
    """Run a command. The fault is in place if `proof` exits with 0, whatever `command` did.

    Background processes of `command` are ended with the run.
    """

    kind: ClassVar[str] = "run"
    summary: ClassVar[str] = "a command that you define"

    command: Annotated[CommandLine, Meta(description="The command that injects the fault.")]
    undo_command: Annotated[
        CommandLine, Meta(description="The command that reverts it. It may run more than once.")
    ] = field(name="undo")
    proof: Annotated[CommandLine, Meta(description="A command that exits with 0 only while the fault is in place.")]
    timeout: Annotated[DurationSeconds, Meta(description="The time limit of each command.")] = 30.0

    @override
    def inject(self, site: FaultSite) -> None:
        if _succeeded(self._execute(self.proof, site, site.cancelled)):
            raise FaultError(msg("`proof` exits with 0 before the fault is injected, so it proves nothing"))
        site.journal_intent("run_command", command=self.undo_command, folder=str(site.root), timeout=self.timeout)
        completed = self._execute(self.command, site, site.cancelled, keep_background_processes=True)
        failure = describe_failure(self.command[0], completed)
        if failure is not None:
            raise FaultError(failure)

    @override
    def verify_injected(self, site: FaultSite) -> Message | None:
        return msg("`proof` exits with 0") if _succeeded(self._execute(self.proof, site, site.cancelled)) else None

    @override
    def verify_reverted(self, site: FaultSite) -> Message | None:
        # Not `site.cancelled`: a cancelled run still has to verify that its fault is reverted.
        completed = self._execute(self.proof, site, threading.Event())
        if completed.end_reason != "exit" or completed.returncode == 0:
            return None
        return msg("`proof` no longer exits with 0")

    @override
    def max_duration(self) -> float:
        """Return the seconds that the commands take at most."""
        # command, undo and three proofs: one before the fault, and two that may begin at the end of PROOF_TIMEOUT.
        return 5 * self.timeout + 2 * PROOF_TIMEOUT

    @override
    def describe(self) -> Message:
        return msg(
            "run `{command}`, and `{undo}` afterwards", command=" ".join(self.command), undo=" ".join(self.undo_command)
        )

    def _execute(
        self,
        command: list[str],
        site: FaultSite,
        cancelled: threading.Event,
        *,
        keep_background_processes: bool = False,
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
                keep_background_processes=keep_background_processes,
            ).wait()
        except OSError as error:
            raise FaultError(msg("`{command}` cannot be run: {why}", command=command[0], why=str(error))) from error


def _succeeded(completed: CompletedCommand) -> bool:
    return completed.end_reason == "exit" and completed.returncode == 0
