"""Check status, headers, body, JSON, latency and certificate of one request."""

from __future__ import annotations

import json
import re
import shlex
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta, Struct, field

from gate.checks._checkout import find_files
from gate.checks.base import (
    Attachment,
    Check,
    CheckResult,
    ObservationError,
    TargetName,
    base_url,
    errored,
    failed,
    passed,
)
from gate.checks.context import CheckContext
from gate.core.messages import Message, join_messages, msg
from gate.core.override import override
from gate.core.strictness import stricter
from gate.decode import charsets
from gate.decode.quantities import ByteSize, DurationSeconds, format_duration, format_size
from gate.decode.structs import custom_type
from gate.http import client
from gate.http.content import parse_json
from gate.http.errors import HttpError
from gate.http.models import BODY_LIMIT, Request, Response, TlsOptions, describe_timings
from gate.matchers import (
    MISSING,
    OPERATORS,
    BodyMatcher,
    DurationMatcher,
    Matcher,
    StatusMatcher,
    TextMatcher,
    mismatch_if_set,
)
from gate.model import CheckoutPath, FrozenStruct
from gate.redaction.secrets import redacted_head
from gate.runtime.evidence import FILE_LIMIT, as_bytes
from gate.staging.spec import HttpUrl

_JSON_LIMIT = 16 * 2**20
# Memory that a decoded body needs, as a multiple of its size: JSON of empty objects, text outside of the BMP.
_JSON_WEIGHT, _TEXT_WEIGHT = 30, 8
_WITHOUT_BODY = ("GET", "HEAD")
_SHOWN_BODY = 4096
_EXCERPT = 200
# Headers that only responses have: RFC 9110, Fetch, and those of common servers.
_OF_ANSWERS = frozenset({
    "accept-ranges", "access-control-allow-credentials", "access-control-allow-headers", "access-control-allow-methods",
    "access-control-allow-origin", "access-control-expose-headers", "access-control-max-age", "age", "allow", "alt-svc",
    "clear-site-data", "content-security-policy", "content-security-policy-report-only", "cross-origin-embedder-policy",
    "cross-origin-opener-policy", "cross-origin-resource-policy", "etag", "expires", "last-modified", "location",
    "permissions-policy", "proxy-authenticate", "referrer-policy", "retry-after", "server", "server-timing",
    "set-cookie", "strict-transport-security", "timing-allow-origin", "vary", "www-authenticate",
    "x-content-type-options", "x-frame-options", "x-powered-by", "x-xss-protection",
})  # fmt: skip
_OF_BODIES = ("content-type", "content-length", "content-encoding", "content-language", "transfer-encoding")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _text(value: Any) -> str:
    """Return the value of a header as text: numbers and booleans as they are written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise ValueError("expected text to send; for what a header of the answer has to be, did you mean 'header'?")
    return str(getattr(value, "text", value))


if TYPE_CHECKING:
    HeaderValue = str
else:
    HeaderValue = custom_type(_text, {"type": ["string", "number", "boolean"]})


class TlsExpectation(FrozenStruct):
    """What to ask of a server's certificate."""

    verify: Annotated[
        bool, Meta(description="Whether the certificate must be trusted and be the host's.", extra=stricter("never"))
    ] = True
    ca: Annotated[
        CheckoutPath | None,
        Meta(description="A PEM file with the authorities to trust instead.", extra=stricter("never")),
    ] = None
    expires_in: Annotated[
        DurationSeconds | None,
        Meta(description="How long the certificate must still be valid.", extra=stricter("set", "higher")),
    ] = None

    def __post_init__(self) -> None:
        if self.expires_in is not None and not self.verify:
            raise ValueError("expected 'verify: true' beside 'expires_in', with a 'ca' if need be")


class Observation(Struct, frozen=True):
    """The answer, or the failure; and the time of day in seconds, for the certificate's end."""

    response: Response | None
    failure: HttpError | None = None
    now: float = 0.0


class Http(Check[Observation]):
    """One request and what its answer has to be."""

    kind: ClassVar[str] = "http"
    summary: ClassVar[str] = "status, headers, body, JSON, latency and certificate of one request"
    schema_extra: ClassVar[Mapping[str, Any]] = {"dependentRequired": {"body": ["method"]}}
    expectation_keys: ClassVar[tuple[str, ...]] = ("status", "header", "text", "json", "latency", "tls.expires_in")

    target: Annotated[
        TargetName | None, Meta(description="The target to ask; `path` is added to its URL.", extra=stricter("never"))
    ] = None
    url: Annotated[
        HttpUrl | None, Meta(description="The address to ask, instead of a target.", extra=stricter("never"))
    ] = None
    path: Annotated[
        str, Meta(description="The path, with its query.", examples=["/readyz"], extra=stricter("never"))
    ] = ""
    method: Annotated[
        Annotated[str, Meta(pattern="^[A-Z]{1,20}$")] | None,
        Meta(
            description="The method: `GET`, unless there is a `body`, which needs one such as `POST`.",
            extra=stricter("never"),
        ),
    ] = None
    headers: Annotated[dict[str, HeaderValue], Meta(description="Headers to send.", extra=stricter("never"))] = {}
    body: Annotated[
        Any, Meta(description="The body to send: text as it is, a mapping or a list as JSON.", extra=stricter("never"))
    ] = None
    status: Annotated[
        StatusMatcher | None, Meta(description="The expected status code.", examples=[200], extra=stricter("set"))
    ] = None
    header: Annotated[
        dict[str, TextMatcher], Meta(min_length=1, description="Expected headers, by name.", extra=stricter("more"))
    ] = {}
    text: Annotated[BodyMatcher | None, Meta(description="The expected body, as text.", extra=stricter("set"))] = None
    json_: Annotated[
        Matcher | None, Meta(description="The expected body, as JSON; objects as subsets.", extra=stricter("set"))
    ] = field(default=None, name="json")
    latency: Annotated[
        DurationMatcher | None, Meta(description="How long the whole request may take.", extra=stricter("set"))
    ] = None
    redirects: Annotated[
        int, Meta(ge=0, le=20, description="How many redirects to follow.", extra=stricter("never"))
    ] = 0
    tls: Annotated[
        TlsExpectation,
        Meta(description="What to ask of the certificate: `verify`, `ca`, `expires_in`.", extra=stricter("never")),
    ] = TlsExpectation()
    limit: Annotated[ByteSize, Meta(description="How much of the body to read at most.", extra=stricter("never"))] = (
        BODY_LIMIT
    )

    def __post_init__(self) -> None:
        if (self.target is None) == (self.url is None):
            raise ValueError("expected exactly one of 'target' and 'url'")
        for name, value in self.headers.items():
            if not _TOKEN.fullmatch(name) or re.search(r"[\r\n\0]", value):
                raise ValueError("expected a header's name and one line of text in 'headers'")
        self._check_what_is_sent()

    def _check_what_is_sent(self) -> None:
        """Raise ValueError if what is written as sent can only be meant as expected."""
        named = isinstance(self.body, dict) and self.body and all(key in OPERATORS for key in self.body)
        if self.body is not None and (self.method is None or (named and self.method in _WITHOUT_BODY)):
            meant = "text" if named or isinstance(self.body, str) else "json"
            raise ValueError(
                f"'body' is what is sent, expected a 'method' such as POST beside it; did you mean '{meant}'? "
                "What the answer's body has to be is 'text' or 'json'"
            )
        sends_body = self.body is not None or self.method_name not in _WITHOUT_BODY
        for name in self.headers:
            if name.lower() in _OF_ANSWERS or (name.lower() in _OF_BODIES and not sends_body):
                raise ValueError(
                    f"'headers' are sent, and '{name}' is of an answer; did you mean 'header: {{{name}: ...}}'?"
                )

    @property
    def method_name(self) -> str:
        """Return the method, which is `GET` by default."""
        return self.method or "GET"

    @override
    def describe(self, context: CheckContext) -> str:
        return f"{self.method_name} {self._url(context)}"

    @override
    def reproduce_command(self, context: CheckContext) -> str:
        words = ["curl", "-sS", "-i"]
        if self.method_name == "HEAD":
            words[-1] = "-I"
        elif self.method_name != ("POST" if self.body is not None else "GET"):
            words += ["-X", self.method_name]
        for name, value in self._headers().items():
            words += ["-H", f"{name}: {value}"]
        if self.body is not None:
            words += ["--data-raw", self._body().decode()]
        if self.redirects:
            words += ["-L", "--max-redirs", str(self.redirects)]
        words += [] if self.tls.verify else ["-k"]
        words += ["--cacert", self.tls.ca] if self.tls.ca else []
        return shlex.join([*words, self._url(context)])

    def request(self, context: CheckContext) -> Request:
        """Return the request to send. Raise TargetDownError or ObservationError if the target has no address."""
        return Request(
            url=self._address(context),
            method=self.method_name,
            headers=self._headers(),
            body=self._body() if self.body is not None else None,
            redirects=self.redirects,
            tls=self._tls(context),
            limit=self.limit,
            weight=_JSON_WEIGHT if self.json_ else _TEXT_WEIGHT,
        )

    @override
    def observe(self, context: CheckContext) -> Observation:
        request = self.request(context)
        try:
            return Observation(client.send(request, context.deadline), now=time.time())
        except HttpError as failure:
            return Observation(None, failure)

    def _url(self, context: CheckContext) -> str:
        if self.target is None:
            return f"{self.url}{self.path}"
        return context.url(self.target, self.path)

    def _address(self, context: CheckContext) -> str:
        if self.target is not None:
            base_url(context, self.target)
        return self._url(context)

    def _headers(self) -> dict[str, str]:
        kind = {} if self.body is None or isinstance(self.body, str) else {"Content-Type": "application/json"}
        return kind | dict(self.headers)

    def _body(self) -> bytes:
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()

    def _tls(self, context: CheckContext) -> TlsOptions:
        if self.tls.ca is None:
            return TlsOptions(self.tls.verify)
        paths = find_files(context, self.tls.ca)
        if not paths:
            raise ObservationError(msg("{path} does not exist", path=self.tls.ca))
        return TlsOptions(self.tls.verify, paths[0])

    @override
    def judge(self, observation: Observation) -> CheckResult:
        if observation.response is None:
            assert observation.failure is not None
            timings = describe_timings(observation.failure.timings)
            return failed(observation.failure.message, response=timings, final=observation.failure.phase == "request")
        response = observation.response
        if response.truncated and (self.text or self.json_):
            message = msg("The body is larger than {limit} and can't be judged", limit=format_size(self.limit))
            return errored(message, **_evidence(response), advice=msg("Raise its `limit`"))
        if self.json_ and len(response.body) > _JSON_LIMIT:
            message = msg(
                "The body is larger than {limit}, which is too large for JSON", limit=format_size(_JSON_LIMIT)
            )
            return errored(message, **_evidence(response))
        unread = response.text_problem() if self.text else response.unread
        if unread and (self.text or self.json_):
            return errored(unread, **_evidence(response))
        problems = list(self._problems(response, observation.now))
        if problems:
            return failed(_with_excerpt(join_messages(problems), response), **_evidence(response))
        duration = format_duration(response.timings.total)
        message = msg(
            "Answered {status} in {took}; as expected: {what}", status=response.status, took=duration, what=self._what()
        )
        return passed(message, **_evidence(response))

    def _what(self) -> str:
        names = [name for name, expectation in (("status", self.status), *self.header.items()) if expectation]
        more = (("text", self.text), ("json", self.json_), ("latency", self.latency), ("tls", self.tls.expires_in))
        return ", ".join([*names, *(name for name, expectation in more if expectation is not None)])

    def _problems(self, response: Response, now: float) -> Iterator[Message]:
        mismatches = [
            mismatch_if_set(self.status, response.status, "status"),
            *(_header_problem(name, matcher, response) for name, matcher in self.header.items()),
            mismatch_if_set(self.text, response.text(), "text"),
            _json_problem(self.json_, response) if self.json_ else None,
            mismatch_if_set(self.latency, response.timings.total, "latency"),
            self._certificate_problem(response, now),
        ]
        yield from (problem for problem in mismatches if problem)

    def _certificate_problem(self, response: Response, now: float) -> Message | None:
        required = self.tls.expires_in
        if required is None:
            return None
        if "notAfter" not in response.certificate:
            return msg("No certificate: the response came without TLS")
        left = ssl.cert_time_to_seconds(response.certificate["notAfter"]) - now
        if left >= required:
            return None
        return msg(
            "The certificate ends on {day}, expected it to last {wish} more",
            day=response.certificate["notAfter"],
            wish=format_duration(required),
        )


def _header_problem(name: str, matcher: TextMatcher, response: Response) -> Message | None:
    value = response.header(name)
    return matcher.mismatch(MISSING if value is None else value, name)


def _json_problem(matcher: Matcher, response: Response) -> Message | None:
    try:
        value = parse_json(response.body)
    except ValueError as error:
        return msg(
            "The body is not valid JSON: {why}",
            why=redacted_head(str(error).encode("utf-8", "replace").decode(), _EXCERPT),
        )
    return matcher.mismatch(value, "json")


def _with_excerpt(problem: Message, response: Response) -> Message:
    """Return the problem with the start of the body, which often names the cause."""
    body = charsets.readable(response.body, charsets.charset_of(response.header("content-type") or ""))
    excerpt = " ".join(redacted_head(body, 4 * _EXCERPT).split())
    if not excerpt:
        return msg("{problem} (the body is empty)", problem=problem)
    if len(excerpt) > _EXCERPT:
        excerpt = redacted_head(excerpt, _EXCERPT) + "..."
    return msg("{problem} (the body begins with: {excerpt})", problem=problem, excerpt=excerpt)


def _evidence(response: Response) -> dict[str, Any]:
    """Return the response for a person to read, in the report and as a file: decoded, so that it can be redacted."""
    head = f"{response.version} {response.status} {response.reason}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    body = charsets.readable(response.body, charsets.charset_of(response.header("content-type") or ""))
    raw = as_bytes(f"{head}\r\n{redacted_head(body, FILE_LIMIT)}")
    return {"response": _shown(response, body), "attachments": (Attachment("answer.txt", raw),)}


def _shown(response: Response, body: str) -> str:
    """Return the response as text, its body truncated."""
    lines = [*(f"-> {url}" for url in response.history), f"{response.version} {response.status} {response.reason}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    if len(body) > _SHOWN_BODY:
        body = f"{redacted_head(body, _SHOWN_BODY)}\n[... cut, {format_size(len(response.body))} were read ...]"
    return "\n".join([*lines, "", body, "", describe_timings(response.timings)])
