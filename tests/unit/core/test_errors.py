"""Every expected failure derives from one class, by which it is told from a crash."""

from __future__ import annotations

import importlib
import pkgutil

import gate
from gate.core.errors import GateError
from gate.core.messages import msg


def test_every_exception_derives_from_gate_error() -> None:
    """Private exceptions end inside their own module; all others have a message for the user."""
    names = [module.name for module in pkgutil.walk_packages(gate.__path__, "gate.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    exceptions = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__.startswith("gate.")
    }
    others = {kind.__qualname__ for kind in exceptions if not issubclass(kind, GateError) and kind.__name__[0] != "_"}
    assert GateError in exceptions
    assert others == set()


def test_a_message_is_kept_and_a_text_becomes_one() -> None:
    """`str()` of both is English; a plain text has no template to translate."""
    translatable, plain = GateError(msg("{name} is missing", name="a")), GateError("a {b}")
    assert (str(translatable), translatable.message.text) == ("a is missing", "{name} is missing")
    assert (str(plain), str(plain.message), plain.message.text) == ("a {b}", "a {b}", "{text}")
