"""Secrets: what is hidden, wherever it stands."""

from __future__ import annotations

import base64
import html
import json
import quopri
import re
import shlex
import xml.sax.saxutils
from urllib.parse import quote, quote_plus

import pytest

from gate.redaction.secrets import Redactor


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
    assert Redactor.from_environment({name: "hunter22"}).redact("it is hunter22!") == "it is ***!"


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
    assert Redactor.from_environment({name: "hunter22"}).redact("hunter22") == "hunter22"


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
        ("host=db user=me password=a,b&c dbname=x", "host=db user=me password=*** dbname=x"),
        (r"host=db password='it\'s so' user=me", "host=db password='***' user=me"),
        ("Server=db;User Id=sa;Password=a b!;Encrypt=yes", "Server=db;User Id=sa;Password=***;Encrypt=yes"),
        ("Driver={X};UID=sa;PWD={a;b};Database=d", "Driver={X};UID=sa;PWD=***;Database=d"),
        ("jdbc:sqlserver://h:1;user=sa;password=abc;x=1", "jdbc:sqlserver://h:1;user=sa;password=***;x=1"),
        ("jdbc:mysql://h/d?user=u&password=abc&x=1", "jdbc:mysql://h/d?user=u&password=***&x=1"),
        ("jdbc:oracle:thin:scott/tiger@h:1521:x", "jdbc:oracle:thin:***@h:1521:x"),
        ("dsn root:abc@tcp(db:3306)/x", "dsn ***@tcp(db:3306)/x"),
        ("amqps://u:abc@h1,amqps://u:def@h2/x", "amqps://***@h1,amqps://***@h2/x"),
        ("mongodb://u:abc@h1:27017,h2:27017/d", "mongodb://***@h1:27017,h2:27017/d"),
        ("mongodb+srv://u:abc@h/d", "mongodb+srv://***@h/d"),
        ("AccountName=a;AccountKey=YWJj==;EndpointSuffix=x", "AccountName=a;AccountKey=***;EndpointSuffix=x"),
        (
            "Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey=a=",
            "Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey=***",
        ),
        ("aws_secret_access_key = wJalr/bPx", "aws_secret_access_key = ***"),
        ("<SecretAccessKey>abc</SecretAccessKey><a>b</a>", "<SecretAccessKey>***</SecretAccessKey><a>b</a>"),
        ("mysqldump --password=abc -h db", "mysqldump --password=*** -h db"),
        ("spring.datasource.password=abc", "spring.datasource.password=***"),
        ("https://h/access-token: Authorization: Bearer abc", "https://h/access-token: Authorization: ***"),
    ],
)
def test_shapes(text: str, shown: str) -> None:
    """Credentials in addresses, headers, parameters, calls and fields are hidden without being known."""
    assert Redactor().redact(text) == shown


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
        "line 3, token: 5", "{tokens: 'a'}", "https://api.example/v1/access-token: 404",
        "GET /v1/auth-token: 404 Not Found",
        "cat: /run/secrets/API_TOKEN: Permission denied", "cat: deploy/DB_PASSWORD: No such file or directory",
        "http://h:80/cookie: 3 of 5", "PWD=/home/me", "OLDPWD=/tmp", "max_tokens=5", "if password == other:",
        "password=$DB_PASS", "the password", "passwords=", "<token/>", "SharedAccessKeyName=root",
    ],
)  # fmt: skip
def test_ordinary_texts_stay(text: str) -> None:
    """What only looks a little like a secret is shown."""
    assert Redactor(["tok-5ecret-aaaa"]).redact(text) == text


@pytest.mark.parametrize(
    "text", ["Cookie: a=b", "Authorization: 'x'", "http://u:p@h", "?token=x", "curl -u a:b", "Bearer abcd", "A_TOKEN=x"]
)
def test_what_is_hidden_stays_as_it_is(text: str) -> None:
    """Hiding again, in a cell of a table, takes nothing away that stands behind."""
    cell = f"| {Redactor().redact(text)} | FAIL |"
    assert Redactor().redact(cell) == cell


def test_variants() -> None:
    """Lines, URL quoting and base64 of a secret are hidden, too."""
    secrets = Redactor(["first line\nse/cond"])
    assert secrets.redact("first line") == "***"
    assert secrets.redact("a=se%2Fcond") == "a=***"
    assert secrets.redact("Zmlyc3QgbGluZQpzZS9jb25k") == "***"


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
    shown = Redactor([VALUE]).redact(f"x {written} y")
    assert "***" in shown
    assert len(shown) < 18


@pytest.mark.parametrize("at", range(1, 15))
def test_no_part_is_left_at_a_cut(at: int) -> None:
    """Wherever a text is cut, and whether or not the rest is there, no four letters of a secret stand at it."""
    value = "tok-5ecret-aaaa"
    secrets = Redactor([value, "other-5ecret"])
    text = "." * 5000 + value + "." * 5000
    assert secrets.head(text, 5000 + at) == secrets.redact(text)[: 5000 + at]
    assert secrets.tail(text, 5000 + at) == ("***" + "." * 5000)[-5000 - at :]
    assert secrets.redact_head(text[: 5000 + at]) == "." * 5000 + (value[:at] if at < 4 else "***")
    assert secrets.redact_tail(text, 5000 + at) == "***" + "." * 5000


def test_credentials_at_a_cut() -> None:
    """An address is not shown where it is cut before the end of its credentials."""
    assert Redactor().redact_head("see postgres://me:p4ss") == "see postgres://***"
    assert Redactor().head("see postgres://me:p4ss@db/x", 20) == "see postgres://***@d"


def test_an_end_has_no_more_than_it_had() -> None:
    """What stands before an end is not shown where the end is shorter for what was hidden in it."""
    text = "before " + "tok-5ecret-aaaa " * 900
    assert set(Redactor(["tok-5ecret-aaaa"]).tail(text, 9000).split()) == {"***"}


@pytest.mark.parametrize(
    "login", ["dTpwYXNzd29yZA==", "dTpwYXNzd29yZA", "dTpwYXNzd29yZ", "dTpwYXNzd29y", "dTpwY", "dT8_dTpw"]
)
def test_logins_that_are_torn(login: str) -> None:
    """A login in base64 is hidden however much of it is there, and in both alphabets."""
    assert Redactor().redact_head(f"Basic {login}") == "Basic ***"


def test_bytes_that_are_no_text() -> None:
    """A variable may hold any bytes: it is hidden as it is handed over, and as it is shown."""
    secrets = Redactor.from_environment({"A_TOKEN": "caf\udce9-secret"})
    assert secrets.redact("caf\udce9-secret, caf\ufffd-secret, caf%E9-secret") == "***, ***, ***"


def test_short_values() -> None:
    """A value too short to be one does not blank out the report."""
    assert (
        Redactor(["on", "", "yes", "true", "None"]).redact("on and on: yes, true, None") == "on and on: yes, true, None"
    )


def test_longest_first() -> None:
    """A secret that begins with another one is hidden whole."""
    assert Redactor(["abcd", "abcdefgh"]).redact("abcdefgh") == "***"


@pytest.mark.parametrize(
    "text",
    [
        "latest tests/test_api.py", "contest", "4543212", "test12", "a_test", "test/x.py", "./test", "a/test/b",
        "test-db", "my.test", "test.py", "%2Ftest%2F", "unit-test",
    ],
)  # fmt: skip
def test_words_as_values(text: str) -> None:
    """A value that is an ordinary word or number is no part of others."""
    assert Redactor(["test", "5432", "test1", "Test"]).redact(text) == text


@pytest.mark.parametrize(
    "text", ["test", "'test'", "a\\ntest\\n", "%3Dtest%26", "\\u003ctest\\u003e", "\x1b[31mtest\x1b[0m", "p=test&"]
)
def test_words_alone(text: str) -> None:
    """Where it stands alone it is hidden, also behind the letters that end an escape."""
    assert Redactor(["test"]).redact(text) == text.replace("test", "***")


def test_names_are_shown() -> None:
    """A word that stands in a name that everybody may read is no secret; its shapes and other values are."""
    secrets = Redactor(["postgres", "hunter22", "redis"])
    secrets.allow("postgres.up", "hunter22.up")
    text = "postgres.up: POSTGRES_PASSWORD=postgres hunter22 redis"
    assert secrets.redact(text) == "postgres.up: POSTGRES_PASSWORD=*** *** ***"


WRITERS = {
    "each byte in a URL": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    "each byte in a URL, in small letters": lambda value: "".join(f"%{byte:02x}" for byte in value.encode()),
    "a URL twice": lambda value: quote(quote(value, safe=""), safe=""),
    "a URL three times": lambda value: quote(quote(quote("&" + value, safe=""))),
    "each byte in a URL twice": lambda value: "".join(f"%25{byte:02x}" for byte in value.encode()),
    "%u of ECMAScript": lambda value: "".join(f"%u{ord(letter):04x}" for letter in value),
    "entities": lambda value: "".join(f"&#{ord(letter)};" for letter in value),
    "entities in hexadecimal": lambda value: "".join(f"&#x{ord(letter):x};" for letter in value),
    "long entities": lambda value: "".join(f"&#X{ord(letter):06X};" for letter in value),
    "entities twice": lambda value: html.escape("".join(f"&#{ord(letter)};" for letter in value)),
    "JSON of each letter": lambda value: "".join(f"\\u{ord(letter):04x}" for letter in value),
    "JSON of JSON of each letter": lambda value: "".join(f"\\\\u{ord(letter):04X}" for letter in value),
    "ECMAScript": lambda value: "".join(f"\\u{{{ord(letter):x}}}" for letter in value),
    "Python": lambda value: "".join(f"\\U{ord(letter):08x}" for letter in value),
    "C": lambda value: "".join(f"\\x{byte:02x}" for byte in value.encode()),
    "octal": lambda value: "".join(f"\\{byte:03o}" for byte in value.encode()),
    "a shell": lambda value: re.sub(r"([^\w])", r"\\\1", value),
    "hexadecimal": lambda value: value.encode().hex(),
    "HEXADECIMAL": lambda value: value.encode().hex().upper(),
    "hexadecimal with colons": lambda value: value.encode().hex(":"),
    "hexadecimal with spaces": lambda value: value.encode().hex(" ").upper(),
    "hexadecimal with dashes": lambda value: value.encode().hex("-"),
    "an array of C": lambda value: ", ".join(f"0x{byte:02x}" for byte in value.encode()),
    "a number": lambda value: f"0x{value.encode().hex()}",
    "xxd": lambda value: f"00000000: {value.encode().hex(' ', 2)}",
    "base64 in lines": lambda value: "\n".join(re.findall(".{1,8}", base64.b64encode(f"a:{value}".encode()).decode())),
    "base64 in indented lines": lambda value: "\r\n  ".join(
        re.findall(".{1,5}", base64.b64encode(value.encode()).decode())
    ),
    "base64 in lines in JSON": lambda value: json.dumps(base64.encodebytes(f"{'a' * 50}{value}".encode()).decode()),
    "base64 twice": lambda value: base64.b64encode(base64.b64encode(f"user:{value}".encode())).decode(),
    "base64 of JSON": lambda value: base64.b64encode(json.dumps({"auth": value}).encode()).decode(),
    "base64 of a URL": lambda value: base64.urlsafe_b64encode(f"x://u:{quote(value, safe='')}@h".encode()).decode(),
    "base64 of UTF-16": lambda value: base64.b64encode(f"x{value}".encode("utf-16-le")).decode(),
    "base64 in a URL": lambda value: quote(base64.b64encode(f"a{value}".encode()).decode(), safe=""),
    "UTF-7": lambda value: "".join(
        f"+{base64.b64encode(value.encode('utf-16-be')).decode().rstrip('=')}-" for value in [value]
    ),
    "UTF-16 read as bytes": lambda value: value.encode("utf-16-le").decode("latin-1"),
    "a colour in it": lambda value: f"{value[:4]}\x1b[01;31m\x1b[K{value[4:]}\x1b[0m",
    "a colour in JSON": lambda value: json.dumps(f"{value[:4]}\x1b[31m{value[4:]}"),
    "a colour of each letter": lambda value: "".join(f"\x1b[38;5;{at}m{letter}" for at, letter in enumerate(value)),
    "a soft hyphen": lambda value: "\u00ad".join([value[:3], value[3:]]),
    "quoted-printable": lambda value: "".join(f"={byte:02X}" for byte in value.encode()),
    "quoted-printable in lines": lambda value: quopri.encodestring(f"{'x' * 70}{value}".encode()).decode(),
    "XML in JSON": lambda value: json.dumps(xml.sax.saxutils.quoteattr(value)),
    "JSON in XML in a URL": lambda value: quote(html.escape(json.dumps(value))),
}


VALUES = ["tok-5ecret-aaaa", "hunter22xy", VALUE, "p%41&amp;\\n+x y", "passwört-€é"]


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in WRITERS for value in VALUES if value.isascii() or name != "UTF-16 read as bytes"],
)
def test_encodings(name: str, value: str) -> None:
    """A value is redacted in every encoding and nested encodings, what is around it is shown, and no part is left."""
    written = WRITERS[name](value)
    shown = Redactor([value]).redact(f"before <{written}> behind")
    assert "***" in shown
    assert shown.startswith("before <")
    assert shown.endswith("> behind")
    left = shown.removeprefix("before <").removesuffix("> behind").replace("***", "")
    kept = {"base64 in lines in JSON": 78, "quoted-printable in lines": 76, "xxd": 10, "JSON in XML in a URL": 22}
    assert len(left) <= kept.get(name, 16), left


@pytest.mark.parametrize("name", [name for name in WRITERS if "UTF-16" not in name])
def test_encodings_at_a_cut(name: str) -> None:
    """Wherever a text is cut, no more than a few letters of an encoded value are left before the cut."""
    secrets = Redactor(["tok-5ecret-aaaa"])
    written = WRITERS[name]("tok-5ecret-aaaa")
    for at in range(1, len(written)):
        shown = secrets.redact_head(f"{'. ' * 300}{written[:at]}")
        decoded = Redactor(["tok-5ec"]).redact(shown)
        assert decoded.count("***") == shown.count("***"), (at, shown[600:])


@pytest.mark.parametrize("before", range(4))
def test_base64_at_every_alignment(before: int) -> None:
    """A value is redacted in base64 however many bytes are before it."""
    for behind in range(4):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            written = encode(f"{'>' * before}known??>>5ecret{'?' * behind}".encode()).decode()
            assert len(Redactor(["known??>>5ecret"]).redact(written).replace("***", "")) <= 8


@pytest.mark.parametrize(
    ("variable", "values"),
    [
        ("postgres://app:s3cr3t-pw@db:5432/x", ["s3cr3t-pw"]),
        ("postgres://app:s3cr%2Ft%40pw@db/x", ["s3cr%2Ft%40pw", "s3cr/t@pw"]),
        ("redis://:s3cr3t-pw@cache", ["s3cr3t-pw"]),
        ("amqp://u:s3cr3t-p1@h1:5672,amqp://u:s3cr3t-p2@h2", ["s3cr3t-p1", "s3cr3t-p2"]),
        ("mongodb://u:s3cr3t-pw@h1:1,h2:2/d", ["s3cr3t-pw"]),
        ("https://s3cr3t-user@example.org/x", ["s3cr3t-user"]),
        ("host=db password=s3cr3t,pw user=me", ["s3cr3t,pw"]),
        (r"host=db password='s3cr3t \'pw' user=me", ["s3cr3t 'pw"]),
        ("Server=x;Password=s3cr3t pw;Encrypt=no", ["s3cr3t pw"]),
        ("Endpoint=sb://h/;SharedAccessKey=s3cr3t+pw=", ["s3cr3t+pw="]),
        ("jdbc:postgresql://h/d?user=u&password=s3cr3t-pw", ["s3cr3t-pw"]),
    ],
)
def test_credentials_in_variables(variable: str, values: list[str]) -> None:
    """A password in any variable's URL or connection string is redacted wherever it is, decoded or not."""
    secrets = Redactor.from_environment({"SOME_DSN": variable})
    for value in values:
        assert secrets.redact(f"it sent {value}, so") == "it sent ***, so"
        assert "***" in secrets.redact(base64.b64encode(f"u:{value}".encode()).decode())


def test_ordinary_words_in_addresses() -> None:
    """A password that is an ordinary word is redacted in its URL only: it is the name of much else."""
    secrets = Redactor.from_environment({"DATABASE_URL": "postgres://postgres:postgres@db/postgres"})
    text = "postgres is ready at postgres://postgres:postgres@db/postgres"
    assert secrets.redact(text) == "postgres is ready at postgres://***@db/postgres"


def test_lines_that_every_file_has() -> None:
    """Of a value of several lines, lines without a secret in them do not blot out a report."""
    value = "apiVersion: v1\nkind: Config\nusers:\n- name: x\n-----BEGIN KEY-----\nMIIabc\n  token: abc-5ecret\n}"
    text = "kind: Config, users: }, apiVersion: v1 -----BEGIN KEY-----"
    assert Redactor([value]).redact(text) == text
    assert Redactor([value]).redact("token: abc-5ecret") == "***"
