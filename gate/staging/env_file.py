"""Read a file of environment variables, one `NAME=value` a line, as Compose reads an `env_file`."""

from __future__ import annotations

import re
from pathlib import Path

from gate.core.messages import msg
from gate.redaction.secrets import default_redactor
from gate.staging.errors import StagingError

_MAX_SIZE = 2**20
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][\w.-]*)\s*=\s*(.*)", re.DOTALL)
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\\": "\\"}


def read_env_file(path: Path, *, required: bool = True) -> dict[str, str]:
    """Return the variables of a file, after registering its credentials as secrets.

    Without `required`, a missing file has none. Raise StagingError if the file cannot be read or is not valid.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_SIZE + 1).decode("utf-8-sig")
    except FileNotFoundError as error:
        if not required:
            return {}
        raise StagingError(msg("the file {path} does not exist", path=path.name)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StagingError(msg("the file {path} cannot be read: {why}", path=path.name, why=str(error))) from error
    if len(text) > _MAX_SIZE:
        raise StagingError(msg("the file {path} is larger than 1 MiB", path=path.name))
    variables = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise StagingError(msg("{path}:{line}: not a variable; write `NAME=value`", path=path.name, line=number))
        variables[match[1]] = _value(match[2])
        default_redactor().add_credentials(variables[match[1]], match[1])
    return variables


def _value(text: str) -> str:
    """Return a value without its quotes, or without a comment behind it."""
    quoted = re.match(r"""'([^']*)'|"((?:[^"\\]|\\.)*)\"""", text)
    if quoted is None:
        return re.sub(r"(?:^|\s+)#.*", "", text)
    if quoted[1] is not None:
        return quoted[1]
    return re.sub(r"\\.", lambda escape: _ESCAPES.get(escape[0], escape[0]), quoted[2])
