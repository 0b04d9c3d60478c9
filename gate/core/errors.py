"""Define the base of the exceptions that the gate raises on purpose."""

from __future__ import annotations

from gate.core.messages import Message


class GateError(Exception):
    """An expected failure with a message for the user: every exception of the gate derives from it.

    The message is translated when it is rendered; `str()` gives it in English.
    A plain text is not translated.
    """

    def __init__(self, message: Message | str) -> None:
        super().__init__(str(message))
        self.message = Message(text="{text}", args={"text": message}) if isinstance(message, str) else message
