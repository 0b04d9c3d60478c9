"""Secrets: what is hidden, wherever it stands."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import xml.sax.saxutils
from urllib.parse import quote, quote_plus

import pytest

from gate.secrets import REACH, Secrets


@pytest.mark.parametrize(
    "name",
    [
        "GITHUB_TOKEN", "DB_PASSWORD", "JWT_SECRET", "API_KEY", "INPUT_GITHUB-TOKEN", "AWS_PRIVATE_KEY", "TOKEN",
        "AWS_SECRET_ACCESS_KEY", "ENCRYPTION_KEY", "JWT_SECRET_KEY", "SSH_KEY", "STRIPE_KEY", "PGPASSWORD", "DB_PASS",
        "MYSQL_PWD", "GITHUB_PAT", "APITOKEN", "npm_config__authToken", "GOOGLE_CREDENTIALS", "SIGNING_KEYS",
        "SECRET_KEY_BASE", "KEY", "PASS", "PRIMARY_KEY", "COSMOS_PRIMARY_KEY",
    ],
)  # fmt: skip
def test_names(name: str) -> None:
    """A variable whose name says that it is a secret hides its value."""
    assert Secrets.from_environment({name: "hunter22"}).hide("it is hunter22!") == "it is ***!"


@pytest.mark.parametrize(
    "name",
    [
        "HOME",
        "PWD",
        "OLDPWD",
        "MONKEY",
        "COMPASS",
        "SSH_PUBLIC_KEY",
        "TABLE_SORT_KEY",
        "CACHE_KEY",
        "MAX_TOKENS",
        "TOKEN_URL",
        "DISPATCH",
    ],
)
def test_other_variables(name: str) -> None:
    """Any other variable's value stays."""
    assert Secrets.from_environment({name: "hunter22"}).hide("hunter22") == "hunter22"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://u:p4ss@db/x", "postgres://***@db/x"),
        ("redis://:p4ss@db", "redis://***@db"),
        ("Authorization: Bearer abc", "Authorization: ***"),
        ("cookie=a; b", "cookie=***"),
        ("https://ghp_token@github.com/x", "https://***@github.com/x"),
        ("http://me:pa/ss@h/", "http://***@h/"),
        ("http://me:p@ss@h/", "http://***@h/"),
        (r"https:\/\/me:p4ss@h\/", r"https:\/\/***@h\/"),
        ("http://h/x?access_token=abc&x=1#top", "http://h/x?access_token=***&x=1#top"),
        ("http://h/x?y=2&X-Amz-Signature=abc", "http://h/x?y=2&X-Amz-Signature=***"),
        ("http://h/?key=abc", "http://h/?key=***"),
        ('{"Authorization": "Bearer abc", "a": 1}', '{"Authorization": "***", "a": 1}'),
        ("{'Authorization': 'Bearer abc', 'a': 1}", "{'Authorization': '***', 'a': 1}"),
        (r'"{\"Authorization\": \"Bearer abc\", \"a\": 1}"', r'"{\"Authorization\": \"***\", \"a\": 1}"'),
        ('{"Authorization": ["Bearer abc", "d"], "a": 1}', '{"Authorization": [***], "a": 1}'),
        ("map[Authorization:[Bearer abc] Host:[h]]", "map[Authorization:[***] Host:[h]]"),
        ('Authorization: Digest username="me", response="abc"\nHost: h', "Authorization: ***\nHost: h"),
        ("Authorization:\r\n Bearer abc", "Authorization:\r\n ***"),
        ("X-Auth-Token: abc", "X-Auth-Token: ***"),
        ("X-Vault-Token: abc", "X-Vault-Token: ***"),
        ("PRIVATE-TOKEN: abc", "PRIVATE-TOKEN: ***"),
        ("Ocp-Apim-Subscription-Key: abc", "Ocp-Apim-Subscription-Key: ***"),
        ("curl -H 'X-Auth-Token: abc' http://h/", "curl -H 'X-Auth-Token: ***' http://h/"),
        ("curl -sSu me:pass -U 'a:b c' http://h/", "curl -sSu *** -U *** http://h/"),
        ("sent Bearer abc.def", "sent Bearer ***"),
        ("sent Basic bWU6cGFzcw==", "sent Basic ***"),
        ("DB_PASSWORD=hunter22 psql", "DB_PASSWORD=*** psql"),
        ("say `DB_PASSWORD=hunter22`, or `?key=abc`", "say `DB_PASSWORD=***`, or `?key=***`"),
        ("  POSTGRES_PASSWORD: hunter22", "  POSTGRES_PASSWORD: ***"),
        ("DB_PASSWORD: correct horse battery staple\nA: b", "DB_PASSWORD: ***\nA: b"),
        ("env: {POSTGRES_PASSWORD: test}}", "env: {POSTGRES_PASSWORD: ***}}"),
        ("{A: b, DB_PASSWORD: my horse, B_TOKEN: x, C: d}", "{A: b, DB_PASSWORD: ***, B_TOKEN: ***, C: d}"),
        ("[DB_PASSWORD: test]", "[DB_PASSWORD: ***]"),
        ('{DB_PASSWORD: "a,b", C: d}', '{DB_PASSWORD: "***", C: d}'),
        ("{DB_PASSWORD: a,b: c}", "{DB_PASSWORD: ***,b: c}"),
        ("{DB_PASSWORD: 'it''s, so', C: ''}", "{DB_PASSWORD: '***', C: ''}"),
        ('{user: me, password: "a,b"}', '{user: me, password: "***"}'),
        ("{ id: 1, accessToken: 'a,b' }", "{ id: 1, accessToken: '***' }"),
        ("http://h/cb#access_token=abc&x=1", "http://h/cb#access_token=***&x=1"),
        ("DB_PASS=abc; STRIPE_KEY=abc x", "DB_PASS=*** STRIPE_KEY=*** x"),
        ("COSMOS_PRIMARY_KEY=abc PRIMARY_ACCESS_KEY=abc", "COSMOS_PRIMARY_KEY=*** PRIMARY_ACCESS_KEY=***"),
        ("MYSQL_PWD=abc GITHUB_PAT=abc SECRET_KEY_BASE=abc", "MYSQL_PWD=*** GITHUB_PAT=*** SECRET_KEY_BASE=***"),
        ("sent ghp_0123456789abcdefghijABCDEFGHIJklmnop.", "sent ***."),
        ("sent github_pat_11ABCDEFG0abc_0123456789, AKIAIOSFODNN7EXAMPLE", "sent ***, ***"),
        ("sent eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcd-efgh!", "sent ***!"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\nabc", "-----BEGIN PRIVATE KEY-----***"),
        ("no '-----BEGIN PRIVATE KEY-----' in it", "no '-----BEGIN PRIVATE KEY-----' in it"),
        ('{"access_token": "abc", "a": 1}', '{"access_token": "***", "a": 1}'),
    ],
)
def test_shapes(text: str, shown: str) -> None:
    """Credentials in addresses, headers, parameters, calls and fields are hidden without being known."""
    assert Secrets().hide(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://host:8080/path", "see https://x.example/@name", "http://host:8080/@name", "ssh://git@github.com/x",
        "mail me@x.example, or see http://x.example", "key: value", "monkey=1", "&monkey=1", "?sort_key=name",
        "Basic auth is on", "Basic authentication required", 'WWW-Authenticate: Basic realm="x"',
        "bearer token is missing", "Bearer authentication required", "token: 5 of 6 left", "password is wrong: no",
        '"token": 5', "docker run -u 1000:1000 x", "a secret: none", "variable API_TOKEN is not set",
        "${API_TOKEN:-default}", "A_TOKEN=$A_TOKEN run", "GET /readyz answered 200", "pass: 3, fail: 1", "",
        "::error title=Sends a cookie::x", "SSH_PUBLIC_KEY=abc", "ghosts", "PASS: 5, FAIL: 3",
        "PRIMARY_KEY=id, FOREIGN_KEY=user_id", "{PRIMARY_KEY: id}", "CACHE_KEY=linux-abc",
        "line 3, token: 5", "{tokens: 'a'}",
    ],
)  # fmt: skip
def test_ordinary_texts_stay(text: str) -> None:
    """What only looks a little like a secret is shown."""
    assert Secrets(["tok-5ecret-aaaa"]).hide(text) == text


@pytest.mark.parametrize(
    "text", ["Cookie: a=b", "Authorization: 'x'", "http://u:p@h", "?token=x", "curl -u a:b", "Bearer abcd", "A_TOKEN=x"]
)
def test_what_is_hidden_stays_as_it_is(text: str) -> None:
    """Hiding again, in a cell of a table, takes nothing away that stands behind."""
    cell = f"| {Secrets().hide(text)} | FAIL |"
    assert Secrets().hide(cell) == cell


def test_variants() -> None:
    """Lines, URL quoting and base64 of a secret are hidden, too."""
    secrets = Secrets(["first line\nse/cond"])
    assert secrets.hide("first line") == "***"
    assert secrets.hide("a=se%2Fcond") == "a=***"
    assert secrets.hide("Zmlyc3QgbGluZQpzZS9jb25k") == "***"


VALUE = "pa55\"wo\\rd<&>/é'bb"


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(VALUE), json.dumps(VALUE, ensure_ascii=False), json.dumps(VALUE).replace("/", "\\/"), repr(VALUE),
        json.dumps(VALUE).replace("<", "\\u003c").replace("&", "\\u0026").replace(">", "\\u003e"), quote(VALUE),
        html.escape(VALUE), html.escape(VALUE, quote=False), xml.sax.saxutils.quoteattr(VALUE), shlex.quote(VALUE),
        quote_plus(VALUE), re.sub("%..", lambda byte: byte[0].lower(), quote(VALUE)),
        *(base64.urlsafe_b64encode(f"{before}{VALUE}:x".encode()).decode() for before in ("", "a", "me")),
        *(base64.b64encode(f"{before}{VALUE}:x".encode()).decode() for before in ("", "a", "me")),
    ],
)  # fmt: skip
def test_forms(written: str) -> None:
    """A secret is hidden as JSON, HTML, XML, Python, a shell, an address and base64 write it, whatever is beside it."""
    shown = Secrets([VALUE]).hide(f"x {written} y")
    assert "***" in shown
    assert len(shown) < 18


@pytest.mark.parametrize("at", range(1, 15))
def test_no_part_is_left_at_a_cut(at: int) -> None:
    """Wherever a text is cut, and whether or not the rest is there, no four letters of a secret stand at it."""
    value = "tok-5ecret-aaaa"
    secrets = Secrets([value, "other-5ecret"])
    text = "." * 5000 + value + "." * 5000
    assert secrets.first(text, 5000 + at) == secrets.hide(text)[: 5000 + at]
    assert secrets.last(text, 5000 + at) == ("***" + "." * 5000)[-5000 - at :]
    assert secrets.beginning(text[: 5000 + at]) == "." * 5000 + (value[:at] if at < 4 else "***")
    assert secrets.ending(text, 5000 + at) == "***" + "." * 5000


def test_credentials_at_a_cut() -> None:
    """An address is not shown where it is cut before the end of its credentials."""
    assert Secrets().beginning("see postgres://me:p4ss") == "see postgres://***"
    assert Secrets().first("see postgres://me:p4ss@db/x", 20) == "see postgres://***@d"


@pytest.mark.parametrize(
    "shape",
    [
        "https://app:JJJJABCDEF@db/", "https://JJJJABCDEF@db/", "?x=1&access_token=JJJJABCDEF&y=2",
        "?key=JJJJABCDEF#top",
        '{"password":"JJJJABCDEF","a":1}', r'"{\"password\": \"JJJJABCDEF\"}"', "DB_PASSWORD=JJJJABCDEF psql",
        "Authorization: Bearer JJJJABCDEF\nHost: h", '{"Authorization": "Bearer JJJJABCDEF"}', "Cookie: a=JJJJABCDEF\n",
        "curl -u me:JJJJABCDEF http://h/\n", "sent Bearer JJJJABCDEF", "sent Basic bWU6SkpKSkFCQ0RFRg==",
        "X-Vault-Token: JJJJABCDEF\n", "it is known-JJJJABCDEF!",
    ],
)  # fmt: skip
def test_no_shape_is_left_at_the_start_of_an_end(shape: str) -> None:
    """Wherever the end of a text begins, no shape that it tears, its name cut off, is known by the rest alone."""
    secrets = Secrets(["known-JJJJABCDEF"])
    for before, after in ((5000, 5000), (100, 9000)):
        text = "x" * before + " " + shape + " " + "y" * after
        for limit in range(after - 20, after + len(shape) + 20):
            for shown in (secrets.last(text, limit), secrets.ending(text[-limit - REACH :], -limit)):
                assert not re.search("JJ|AB|CD|EF|Skp|CQ0", shown), limit
                assert shown.endswith("y" * min(limit - 3, after))


def test_an_end_has_no_more_than_it_had() -> None:
    """What stands before an end is not shown where the end is shorter for what was hidden in it."""
    text = "before " + "tok-5ecret-aaaa " * 900
    assert set(Secrets(["tok-5ecret-aaaa"]).last(text, 9000).split()) == {"***"}


@pytest.mark.parametrize(
    "login", ["dTpwYXNzd29yZA==", "dTpwYXNzd29yZA", "dTpwYXNzd29yZ", "dTpwYXNzd29y", "dTpwY", "dT8_dTpw"]
)
def test_logins_that_are_torn(login: str) -> None:
    """A login in base64 is hidden however much of it is there, and in both alphabets."""
    assert Secrets().beginning(f"Basic {login}") == "Basic ***"


def test_bytes_that_are_no_text() -> None:
    """A variable may hold any bytes: it is hidden as it is handed over, and as it is shown."""
    secrets = Secrets.from_environment({"A_TOKEN": "caf\udce9-secret"})
    assert secrets.hide("caf\udce9-secret, caf\ufffd-secret, caf%E9-secret") == "***, ***, ***"


def test_short_values() -> None:
    """A value too short to be one does not blank out the report."""
    assert Secrets(["on", "", "yes", "true", "None"]).hide("on and on: yes, true, None") == "on and on: yes, true, None"


def test_longest_first() -> None:
    """A secret that begins with another one is hidden whole."""
    assert Secrets(["abcd", "abcdefgh"]).hide("abcdefgh") == "***"


@pytest.mark.parametrize("text", ["latest tests/test_api.py", "contest", "4543212", "test1", "a_test"])
def test_words_as_values(text: str) -> None:
    """A value that is an ordinary word or number is no part of others."""
    assert Secrets(["test", "5432"]).hide(text) == text


@pytest.mark.parametrize(
    "text", ["test", "'test'", "a\\ntest\\n", "%2Ftest%2F", "\\u003ctest\\u003e", "\x1b[31mtest\x1b[0m", "p=test&"]
)
def test_words_alone(text: str) -> None:
    """Where it stands alone it is hidden, also behind the letters that end an escape."""
    assert Secrets(["test"]).hide(text) == text.replace("test", "***")


def test_names_are_shown() -> None:
    """A word that stands in a name that everybody may read is no secret; its shapes and other values are."""
    secrets = Secrets(["postgres", "hunter22", "redis"])
    secrets.show("postgres.up", "hunter22.up")
    text = "postgres.up: POSTGRES_PASSWORD=postgres hunter22 redis"
    assert secrets.hide(text) == "postgres.up: POSTGRES_PASSWORD=*** *** ***"
