"""`run`: a fault of the user's own: a command, and the command that takes it back."""

from __future__ import annotations

import subprocess
from typing import ClassVar

from pydantic import Field

from gate.messages import Message, say
from gate.quantities import Duration
from gate.secrets import end_of
from gate.staging.faults.base import Fault, NoFault, Site
from gate.staging.spec import Words

_SHOWN = 1000


class Run(Fault):
    """Runs a command. Its proof is the exit code 0 of `proof`, where there is one, and its own otherwise."""

    kind: ClassVar[str] = "run"
    summary: ClassVar[str] = "a command of the user's own"

    command: Words = Field(description="What puts the fault in.")
    takes_back: Words = Field(alias="undo", description="What takes it back. It has to work more than once.")
    proof: Words | None = Field(None, description="A command that exits with 0 while the fault is in place only.")
    timeout: Duration = Field(30.0, description="How long each command may take.")

    def inject(self, site: Site) -> None:
        if self.proof and self._runs(self.proof, site):
            raise NoFault(say("`proof` holds before the fault is in place: it proves nothing"))
        with site.act("run_command", command=self.takes_back, folder=str(site.root)):
            self._must_run(self.command, site)

    def holds(self, site: Site) -> Message | None:
        if self.proof is None:
            return say("the command has exited with 0")
        return say("`proof` exits with 0") if self._runs(self.proof, site) else None

    def gone(self, site: Site) -> Message | None:
        if self.proof is None:
            return say("`undo` has exited with 0")
        return None if self._runs(self.proof, site) else say("`proof` no longer exits with 0")

    def effect(self) -> Message:
        return say(
            "run `{command}`, and `{undo}` afterwards", command=" ".join(self.command), undo=" ".join(self.takes_back)
        )

    def _runs(self, command: list[str], site: Site) -> bool:
        try:
            self._must_run(command, site)
        except NoFault:
            return False
        return True

    def _must_run(self, command: list[str], site: Site) -> None:
        try:
            subprocess.run(
                command, cwd=site.root, stdin=subprocess.DEVNULL, capture_output=True, timeout=self.timeout, check=True
            )
        except subprocess.CalledProcessError as error:
            said = end_of((error.stderr or error.stdout or b"").decode("utf-8", "replace"), _SHOWN)
            why = say("`{command}` exited with {code}: {said}", command=command[0], code=error.returncode, said=said)
            raise NoFault(why) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoFault(say("`{command}` could not be run: {why}", command=command[0], why=str(error))) from error
