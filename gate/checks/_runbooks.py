"""Find the file of the checkout that an alert's runbook annotation links to."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote, urlsplit

from msgspec import Meta

from gate.checks._checkout import find_files
from gate.checks.context import CheckContext
from gate.core.messages import Message, msg
from gate.core.strictness import stricter
from gate.decode.structs import custom_type
from gate.model import CheckoutPath, FrozenStruct, NonEmptyStr
from gate.prometheus.rules import Rule
from gate.redaction.secrets import redacted_head

ANNOTATIONS = ("runbook", "runbook_url")


class RunbookRule(FrozenStruct):
    """How a runbook annotation leads to a file."""

    annotation: Annotated[
        NonEmptyStr | None, Meta(description="Its name; else `runbook`, or `runbook_url`.", extra=stricter("never"))
    ] = None
    prefix: Annotated[
        NonEmptyStr | None,
        Meta(
            description="The beginning of the addresses that stands for `folder`.",
            examples=["https://github.com/org/repo/blob/main/"],
            extra=stricter("never"),
        ),
    ] = None
    folder: Annotated[
        CheckoutPath, Meta(description="The folder of the checkout that paths start from.", extra=stricter("never"))
    ] = "."

    def annotation_of(self, rule: Rule) -> str | None:
        """Return the name of the rule's runbook annotation, or None."""
        names = (self.annotation,) if self.annotation else ANNOTATIONS
        return next((name for name in names if rule.annotations.get(name, "").strip()), None)

    def path_of(self, link: str) -> str | Message:
        """Return the path that a link names, or why it names none."""
        text = link.strip()
        if "{{" in text:
            return msg("{link} is a template, and leads to no file by itself", link=redacted_head(text, 200))
        if self.prefix and text.startswith(self.prefix):
            text = text.removeprefix(self.prefix)
        elif urlsplit(text).scheme:
            return msg(
                "{link} is an address: say with `prefix` which folder it stands for", link=redacted_head(text, 200)
            )
        path = PurePosixPath(self.folder) / unquote(text.split("#")[0].split("?")[0]).lstrip("/")
        if ".." in path.parts or "\0" in str(path):
            return msg("{link} leads out of the checkout", link=redacted_head(text, 200))
        return str(path)

    def file_of(self, context: CheckContext, link: str) -> Path | Message:
        """Return the file that a link names, or why it names none."""
        path = self.path_of(link)
        if isinstance(path, Message):
            return path
        paths = find_files(context, path.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]"))
        if not paths or not paths[0].is_file():
            return msg("{path} does not exist", path=path)
        return paths[0]


def _parse_rule(value: Any) -> Any:
    """Return the mapping to decode: `true` is a rule without settings."""
    if value is not True and not isinstance(value, dict):
        raise ValueError("expected true or a mapping")
    return {} if value is True else value


if TYPE_CHECKING:
    Runbooks = RunbookRule
else:
    Runbooks = custom_type(
        _parse_rule, {"anyOf": [{"const": True}, {"$ref": "#/$defs/RunbookRule"}]}, target_type=RunbookRule
    )
