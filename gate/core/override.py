"""Provide `typing.override`, which Python 3.11 does not have yet."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import override
else:
    # A decorator that only type checkers and linters read is not worth importing typing_extensions at every start.
    Method = TypeVar("Method", bound=Callable[..., Any])

    def override(method: Method) -> Method:
        """Mark a method that overrides one of a base class, whose docstring it shares."""
        return method


__all__ = ["override"]
