"""Replace `${NAME}` in a checklist from the environment, as in Compose files.

Forms: `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?message}`, `${NAME?message}`, and `$$` for a dollar
(https://docs.docker.com/reference/compose-file/interpolation/). Unlike there, a name that is not set and has no
default is an error, and `$NAME` without braces stays as it is: shells and regular expressions use it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_FORM = re.compile(r"\$\$|\$\{([^}]*)\}|\$\{")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?])(.*))?", re.DOTALL)


def interpolate(text: str, environment: Mapping[str, str]) -> str:
    """Return the text with its variables replaced. Raise ValueError for an unset or malformed variable."""

    def fill(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        inside = _INSIDE.fullmatch(match[1]) if match[1] is not None else None
        if not inside:
            raise ValueError(f"'{match[0]}' is no variable, expected ${{NAME}} or ${{NAME:-default}}")
        return _filled(inside[1], inside[2] or "", inside[3] or "", environment, in_script=" " in text.strip())

    return _FORM.sub(fill, text)


def _filled(name: str, form: str, rest: str, environment: Mapping[str, str], *, in_script: bool) -> str:
    value = environment.get(name)
    if value or (value is not None and not form.startswith(":")):
        return value.encode("utf-8", "replace").decode()
    if form.endswith("-"):
        return rest
    if form.endswith("?"):
        raise ValueError(f"variable {name} is not set: {rest or 'it is required'}")
    shell = f"; a variable of the shell is written $${{{name}}}" if in_script else ""
    raise ValueError(
        f"variable {name} is not set, expected it in the environment or a default: ${{{name}:-default}}{shell}"
    )
