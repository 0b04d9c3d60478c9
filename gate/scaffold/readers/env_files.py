"""Read env files that are part of the commit, or the committed examples of those that are not."""

from __future__ import annotations

import posixpath
import re

from gate.scaffold.files import RepoFiles, resolve_path

_EXAMPLES = ("{}.example", "{}.sample", "{}.dist", "{}.template", "{}.test", "example{}", "{}-example", "{}_example")
#: A name and its value. Only a `#` after a space begins a comment: it may be part of a password.
_QUOTED = r""""(?:[^"\\\n]|\\.)*"|'[^'\n]*'"""
#: A name and its value. Only a `#` after a space begins a comment: it may be part of a password.
_PAIR = re.compile(rf"(?m)^[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.]*)[ \t]*=[ \t]*({_QUOTED}|.*?)[ \t]*(?:[ \t]#.*)?\r?$")


def read_env_file(files: RepoFiles, folder: str, name: str) -> dict[str, str]:
    """Return the variables of an env file that git tracks; else those of its example; else none."""
    _, source = source_of_env_file(files, folder, name)
    return parse(files.text(source)) if source else {}


def source_of_env_file(files: RepoFiles, folder: str, name: str) -> tuple[str, str]:
    """Return the path of an env file, and of the committed file that has its variables: itself, or an example."""
    path = resolve_path(folder, name)
    if path is None:
        return "", ""
    if files.committed and files.has(path):
        return path, path
    inside, base = posixpath.split(path)
    stem = base.removesuffix(".env")
    examples = [form.format(base) for form in _EXAMPLES] + [".env.example", ".env.sample", "env.example", "example.env"]
    examples += [f"{stem}.example.env", f"{stem}.env.example"] if stem != base else []
    if re.search(r"example|sample|dist|template", base):
        examples.insert(0, base)
    return path, next((file for each in examples if files.has(file := posixpath.join(inside, each))), "")


def read_example(files: RepoFiles, folder: str) -> dict[str, str]:
    """Return the variables of the example of a folder's `.env`, which a program reads if nobody passes them."""
    return {} if files.committed and files.has(folder, ".env") else read_env_file(files, folder, ".env")


def parse(text: str) -> dict[str, str]:
    """Return the variables of an env file."""
    return {name: _unquote(value) for name, value in _PAIR.findall(text)}


def _unquote(value: str) -> str:
    return value[1:-1] if value[:1] in ("'", '"') and len(value) > 1 and value[-1] == value[0] else value
