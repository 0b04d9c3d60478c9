"""Errors of staging: a target cannot be started, found or prepared."""

from __future__ import annotations

from gate.core.errors import GateError
from gate.core.messages import Message


class StagingError(GateError):
    """A target or a container cannot be used. `advice` is what the user can do about it, if that is known."""

    def __init__(self, message: Message, *, advice: Message | None = None) -> None:
        super().__init__(message)
        self.advice = advice


class DependencyNotReadyError(StagingError):
    """A target that must be ready first is not. `root_cause` is the id of the cause in the report."""

    def __init__(self, message: Message, root_cause: str) -> None:
        super().__init__(message)
        self.root_cause = root_cause
