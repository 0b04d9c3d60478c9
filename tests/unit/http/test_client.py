"""The HTTP client: every phase ends at the deadline, bodies are bounded, and secrets stay with their host."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib

import pytest

from gate.http import client
from gate.http.content import decode_text, parse_json
from gate.http.errors import BodyTooLargeError, HttpError
from gate.http.models import Request, Response, TlsOptions
from tests.support.web import Authority, Reply, make_authority, reset, send, serving, trickle

# Seconds until the deadline of a request that must end by it.
SOON = 0.5
# Seconds after which such a request has not ended by its deadline, however busy the machine.
LATE = 5.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Create the certificates."""
    return make_authority(tmp_path_factory.mktemp("authority"))


def fetch(url: str, within: float = 10.0, **fields: object) -> Response:
    """Return the response, received within `within` seconds."""
    return client.send(Request(url, **fields), time.monotonic() + within)  # type: ignore[arg-type]


def failure(url: str, within: float = 10.0, **fields: object) -> HttpError:
    """Return the error of a request that must fail."""
    began = time.monotonic()
    with pytest.raises(HttpError) as caught:
        fetch(url, within, **fields)
    assert time.monotonic() - began < within + LATE
    return caught.value


def test_an_answer() -> None:
    """Status, headers, body and the time of each phase come back."""
    with serving({"/a": Reply(201, "hello", {"X-One": "1", "Content-Type": "text/plain; charset=utf-8"})}) as web:
        response = fetch(f"{web.url}/a")
    assert (response.status, response.text(), response.header("x-one"), response.version) == (
        201,
        "hello",
        "1",
        "HTTP/1.1",
    )
    timings = response.timings
    assert None not in (timings.dns, timings.connect, timings.first_byte, timings.body)
    assert timings.tls is None


def test_a_deadline_of_years() -> None:
    """A deadline further away than a socket can count is one."""
    with serving({"/": Reply(200, "hello")}) as web:
        assert fetch(web.url + "/", within=3650 * 86400.0).status == 200


def test_what_is_sent() -> None:
    """Method, headers, body and a path with spaces and accents arrive; nothing else is added but what is needed."""
    with serving({"/a%20%C3%A9": Reply()}) as web:
        fetch(f"{web.url}/a é?q=1 2", method="PUT", headers={"X-One": "é", "Accept": "text/html"}, body=b"data")
        (got,) = web.requests
    assert (got.method, got.path, got.body) == ("PUT", "/a%20%C3%A9?q=1%202", b"data")
    assert {"host", "user-agent", "accept", "connection", "content-length", "x-one"} == set(got.headers)
    assert ("text/html", f"127.0.0.1:{web.port}") == (got.headers["accept"], got.headers["host"])


def test_credentials_of_an_address() -> None:
    """`user:password@` becomes an authorization header."""
    with serving({"/": Reply()}) as web:
        fetch(web.url.replace("://", "://me:p%40ss@") + "/")
        (got,) = web.requests
    assert got.headers["authorization"] == "Basic bWU6cEBzcw=="
    assert f"127.0.0.1:{web.port}" == got.headers["host"]


def test_no_proxy_from_the_environment() -> None:
    """Proxies of the environment are not used: staging is asked directly."""
    script = (
        "import sys, time; from gate.http.client import send; from gate.http.models import Request\n"
        "send(Request(sys.argv[1]), time.monotonic() + 10)"
    )
    proxies = {
        "http_proxy": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }
    with serving({"/": Reply()}) as web:
        done = subprocess.run([sys.executable, "-c", script, web.url], env={**os.environ, **proxies}, check=False)
    assert done.returncode == 0


def test_no_such_name() -> None:
    """A name that does not exist breaks the look-up."""
    assert failure("http://nowhere.invalid/").phase == "look-up"


def test_refused() -> None:
    """A port where nobody listens breaks the connection."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    found = failure(f"http://127.0.0.1:{port}/")
    assert (found.phase, str(found.message)) == ("connect", "The connection failed: Connection refused")


def test_a_connection_that_is_never_accepted() -> None:
    """A full backlog ends at the deadline, while connecting."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        clients = [socket.socket() for _ in range(4)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        found = failure(f"http://127.0.0.1:{full.getsockname()[1]}/", SOON)
        for client in clients:
            client.close()
    assert found.phase == "connect"
    assert found.timeout is True


def test_no_answer() -> None:
    """A server that closes without an answer breaks the first byte."""
    with serving({"/": send(b"")}) as web:
        found = failure(f"{web.url}/")
    assert (
        str(found.message) == "The first byte of the answer did not come: the connection was closed without an answer"
    )


@pytest.mark.parametrize(
    ("data", "phase"),
    [
        (b"\x00\x01\x02\xff garbage\r\n\r\n", "head"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "head"),
        (b"HTTP/1.1 99999 What\r\n\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n", "head"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100_000, "head"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\nX: y", "head"),
        (b"HTTP/1.1 200 OK\r\n folded: y\r\n\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n", "head"),
        (b"HTTP/1.1 200 OK\0\r\n\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\n\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding\x0b: chunked\r\n\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nabc", "head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nabc", "head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nabc", "head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nabc", "head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\nabcdefghij", "head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2.0\r\n\r\nabc", "head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\nabc", "head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nabc", "head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nabc", "head"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\nhello hello hell\r\n0\r\n\r\n", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 100_000 + b"\r\nhello", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 100_000 + b"\r\n", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nnot gzip", "body"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "body"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip", "body"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\0\0\0", "body"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"x", mtime=0) + b"more", "body"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n" + zlib.compress(b"x") + b"more", "body"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\nx", "body"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"x" * 9999, mtime=0)[:20], "body"),
    ],

)  # fmt: skip
def test_broken_answers(data: bytes, phase: str) -> None:
    """A response that is cut short, malformed or ambiguous is a failure of the phase where it broke."""
    with serving({"/": send(data)}) as web:
        assert phase == failure(f"{web.url}/").phase


@pytest.mark.parametrize(
    ("data", "phase"),
    [(b"", "first byte"), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "body")],
    ids=["head", "body"],
)
def test_a_reset(data: bytes, phase: str) -> None:
    """A connection that is reset breaks the phase it was in."""
    with serving({"/": reset(data)}) as web:
        assert phase == failure(f"{web.url}/").phase


@pytest.mark.parametrize(
    ("head", "piece", "phase"),
    [
        (b"", b"H", "first byte"),
        (b"HTTP/1.1 200 OK\r\n", b"X", "first byte"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", "first byte"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x", "body"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n", "body"),
    ],
    ids=["status", "header", "continue", "endless", "length", "chunks", "chunk-size", "trailer"],
)
def test_trickles(head: bytes, piece: bytes, phase: str) -> None:
    """One piece after the other, for ever: the deadline ends it, in every phase."""
    with serving({"/": trickle(head, piece)}) as web:
        found = failure(f"{web.url}/", SOON)
    assert phase == found.phase
    assert found.timeout is True


def test_a_trickle_under_tls(authority: Authority) -> None:
    """The same holds where the connection is secured."""
    with serving({"/": trickle(b"HTTP/1.1 200 OK\r\n\r\n")}, tls=authority.context()) as web:
        found = failure(f"{web.url}/", SOON, tls=TlsOptions(ca=authority.ca))
    assert found.phase == "body"
    assert found.timeout is True


def test_a_handshake_that_never_ends() -> None:
    """A server that accepts and says nothing ends at the deadline, in the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = failure(f"https://127.0.0.1:{silent.getsockname()[1]}/", SOON)
    assert found.phase == "tls"
    assert found.timeout is True


def test_no_tls_there() -> None:
    """A server that speaks no TLS breaks the handshake."""
    with serving({}) as web:
        assert failure(web.url.replace("http:", "https:")).phase == "tls"


def test_certificates(authority: Authority) -> None:
    """A certificate of the given authority is trusted, and its end is known; no other is."""
    with serving({"/": Reply()}, tls=authority.context()) as web:
        response = fetch(f"{web.url}/", tls=TlsOptions(ca=authority.ca))
        assert "notAfter" in response.certificate
        assert response.timings.tls is not None
        assert "The TLS handshake failed: the certificate is not trusted" in str(failure(web.url).message)
        assert fetch(f"{web.url}/", tls=TlsOptions(verify=False)).status == 200


@pytest.mark.parametrize("chain", ["expired", "other"])
def test_wrong_certificates(authority: Authority, chain: str) -> None:
    """A certificate that has ended, or is another host's, is not trusted."""
    with serving({}, tls=authority.context(getattr(authority, chain))) as web:
        found = failure(web.url, tls=TlsOptions(ca=authority.ca))
    assert "the certificate is not trusted" in str(found.message)


def test_a_body_over_the_limit() -> None:
    """Only the beginning is kept, and that it is only that is said."""
    with serving({"/": Reply(200, b"x" * 1000), "/b": Reply(200, b"x" * 100)}) as web:
        cut = fetch(f"{web.url}/", limit=100)
        whole = fetch(f"{web.url}/b", limit=100)
    assert cut.body == b"x" * 100
    assert cut.truncated is True
    assert whole.body == b"x" * 100
    assert whole.truncated is False


def test_an_endless_body_costs_its_limit() -> None:
    """A body without end, as fast as it can come, is read up to the limit and no further."""
    with serving({"/": trickle(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536, every=0, times=10**9)}) as web:
        response = fetch(f"{web.url}/", limit=1_000_000)
    assert len(response.body) == 1_000_000
    assert response.truncated is True


RAW = zlib.compressobj(9, zlib.DEFLATED, -15)
PANIC = gzip.compress(b"panic", mtime=0)


@pytest.mark.parametrize(
    ("head", "data", "body"),
    [
        (b"Content-Length: 5\r\n", b"panic and more", b"panic"),
        (b"Content-Length: 5\r\nContent-Length: 5\r\n", b"panic", b"panic"),
        (b"Content-Length: 5, 5\r\nContent-Length: 05\r\n", b"panic", b"panic"),
        (b"Content-Length : 5\r\n", b"panic and more", b"panic"),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"5\r\npanic\r\n0\r\n\r\n", b"panic"),
        (b"Content-Length: x\r\nTransfer-Encoding: chunked\r\n", b"5\r\npanic\r\n0\r\n\r\n", b"panic"),
        (b"Transfer-Encoding: Chunked\r\n", b"5;a=b;c=\"d\"\r\npanic\r\n0\r\n\r\n", b"panic"),
        (b"Transfer-Encoding: chunked\r\n", b"002 \r\npa\r\n3\nnic\n000\n\n", b"panic"),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\npanic\r\n0\r\nContent-Length: 2\r\nX: y\r\n\r\n", b"panic"),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\npanic\r\n0\r\n", b"panic"),
        (b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n", b"panic and more", b"panic"),
        (b"Transfer-Encoding: gzip, chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(PANIC), PANIC), b"panic"),
        (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
         b"%x\r\n%s\r\n0\r\n\r\n" % (len(PANIC), PANIC), b"panic"),
        (b"Transfer-Encoding: gzip\r\nContent-Length: 2\r\n", PANIC, b"panic"),
        (b"Transfer-Encoding: gzip\r\nContent-Encoding: gzip\r\n", gzip.compress(PANIC, mtime=0), b"panic"),
        (b"Content-Encoding: gzip\r\n", PANIC + b"\0\0" + PANIC + b"\0" * 100_000, b"panicpanic"),
        (b"Content-Encoding: deflate\r\n", RAW.compress(b"panic" * 99_999) + RAW.flush(), b"panic" * 99_999),
        (b"Content-Encoding: deflate, gzip\r\n", gzip.compress(zlib.compress(b"panic"), mtime=0), b"panic"),
        (b"", b"panic", b"panic"),
    ],
)  # fmt: skip
def test_framing(head: bytes, data: bytes, body: bytes) -> None:
    """The body is what its framing says, and what its codings hold."""
    with serving({"/": send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + data)}) as web:
        assert fetch(web.url).body == body


@pytest.mark.parametrize("codings", ["br", "compress", "chunked, chunked", "chunked, gzip", "xchunked", "chunked;a=b"])
def test_a_transfer_coding_that_cannot_be_undone(codings: str) -> None:
    """A body whose transfer coding is unknown is not taken as it came."""
    with serving({"/": send(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {codings}\r\n\r\n5\r\npanic".encode())}) as web:
        response = fetch(web.url)
    assert (response.status, response.body) == (200, b"")
    assert "its Transfer-Encoding can't be undone here" in str(response.unread)


@pytest.mark.parametrize("count", [1, 500])
@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_interim_responses(status: int, count: int) -> None:
    """Interim responses are not the response, however many come before it, and their headers are not its own."""
    interim = f"HTTP/1.1 {status} Wait\r\nX: y\r\nContent-Length: 9\r\n\r\n".encode() * count
    with serving({"/": send(interim + b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops")}) as web:
        response = fetch(web.url)
    assert (response.status, response.body, response.header("x")) == (500, b"oops", None)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 101), ("HEAD", 500)])
@pytest.mark.parametrize("head", ["Content-Length: 5", "Transfer-Encoding: chunked", "Content-Encoding: br", "X: y"])
def test_responses_without_a_body(method: str, status: int, head: str) -> None:
    """These have no body, whatever their headers announce and whatever follows."""
    with serving({"/": send(f"HTTP/1.1 {status} Because\r\n{head}\r\n\r\npanic".encode())}) as web:
        response = fetch(web.url, method=method)
    assert (response.status, response.body, response.unread) == (status, b"", None)


def test_folded_headers() -> None:
    """The lines of a folded header are joined with a space, and blanks around a name or a value are dropped."""
    raw = b"HTTP/1.1 200 OK\r\nX:  a\r\n\t b \r\n  c\r\nY \t: d\nZ:\r\n e\r\nEmpty:\r\n\r\n"
    with serving({"/": send(raw)}) as web:
        response = fetch(web.url)
    assert response.headers == (("X", "a b c"), ("Y", "d"), ("Z", "e"), ("Empty", ""))


def test_a_body_cut_short_under_tls(authority: Authority) -> None:
    """A body that only the end of the connection ends is cut short if TLS is not ended in order."""

    def cut(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf")

    def whole(connection: socket.socket) -> None:
        cut(connection)
        assert isinstance(connection, ssl.SSLSocket)
        connection.unwrap()

    with serving({"/cut": cut, "/whole": whole}, tls=authority.context()) as web:
        tls = TlsOptions(ca=authority.ca)
        assert failure(f"{web.url}/cut", tls=tls).phase == "body"
        assert fetch(f"{web.url}/whole", tls=tls).body == b"half"


def test_an_answer_before_the_body_was_read() -> None:
    """A server that refuses a large body, and closes, is heard."""

    def refuse(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                refuse(connection)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 20):
                    """Nothing is left unread: closing would then reset the connection."""

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        response = fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/", method="POST", body=b"x" * 5_000_000)
        thread.join(LATE)
    assert response.status == 413


def test_a_header_that_would_break_the_request() -> None:
    """Nothing that a checklist says can add a line to a request."""
    for headers in ({"X": "a\r\nY: b"}, {"X\r\nY": "b"}, {"X Y": "b"}, {"": "b"}):
        assert failure("http://127.0.0.1:9/", headers=headers).phase in ("request", "connect")


def test_nested_bombs_end_at_the_deadline() -> None:
    """Codings that unpack to padding without end are left at the deadline."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    begun = packer.compress(gzip.compress(b"x")) + packer.flush(zlib.Z_FULL_FLUSH)
    padding = packer.compress(b"\0" * 10_000_000) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = gzip.compress(begun + padding * 1000)
    with serving({"/": Reply(200, bomb, {"Content-Encoding": "gzip, gzip, gzip"})}) as web:
        found = failure(web.url, SOON)
    assert found.phase == "body"
    assert found.timeout is True


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed(encoding: str) -> None:
    """Compressed bodies are decompressed."""
    body = {"gzip": gzip.compress, "deflate": zlib.compress}[encoding](b"hello" * 50_000)
    with serving({"/": Reply(200, body, {"Content-Encoding": encoding})}) as web:
        assert fetch(f"{web.url}/").body == b"hello" * 50_000


@pytest.mark.parametrize("encoding", ["gzip, gzip", "identity, gzip, identity, GZIP"])
def test_compressed_twice(encoding: str) -> None:
    """Encodings on top of one another are all undone."""
    with serving({"/": Reply(200, gzip.compress(gzip.compress(b"hello")), {"Content-Encoding": encoding})}) as web:
        assert fetch(f"{web.url}/").body == b"hello"


@pytest.mark.parametrize("encoding", ["br", "gzip, br", "br, gzip", "gzip, gzip, gzip, gzip", "gzip;q=1"])
def test_an_encoding_that_cannot_be_undone(encoding: str) -> None:
    """A body that cannot be read is not taken as it came: there is the head, no body, and why."""
    with serving({"/": Reply(200, gzip.compress(b"ready"), {"Content-Encoding": encoding})}) as web:
        response = fetch(f"{web.url}/")
    assert (response.status, response.body) == (200, b"")
    assert str(response.unread) == f"The body broke: its Content-Encoding can't be undone here: {encoding}"


def test_nothing_is_nothing_in_any_encoding() -> None:
    """The answer to HEAD has no body, whatever its headers say."""
    with serving({"/": send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n")}) as web:
        response = fetch(f"{web.url}/", method="HEAD")
    assert (response.status, response.body, response.unread) == (200, b"", None)


def test_another_http() -> None:
    """An answer in another version of HTTP is said to be one."""
    with serving({"/": send(b"HTTP/2 200 OK\r\n\r\n")}) as web:
        found = failure(f"{web.url}/")
    assert str(found.message).endswith("not valid HTTP: the answer is in HTTP/2, expected HTTP/1")


def test_gzip_in_several_members() -> None:
    """A gzip body of several members is all of them, as RFC 1952 has it."""
    body = gzip.compress(b"one", mtime=0) + gzip.compress(b"two")
    with serving({"/": Reply(200, body, {"Content-Encoding": "gzip"})}) as web:
        assert fetch(f"{web.url}/").body == b"onetwo"


def test_a_gzip_bomb() -> None:
    """The limit counts what is unpacked: a bomb costs no more memory than the limit."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([*(packer.compress(b"\0" * 10_000_000) for _ in range(50)), packer.flush()])
    with serving({"/": Reply(200, bomb, {"Content-Encoding": "gzip"})}) as web, \
         client.open_stream(Request(web.url, limit=1_000_000), time.monotonic() + 10) as stream:  # fmt: skip
        sizes: list[int] = []
        with pytest.raises(BodyTooLargeError):
            sizes.extend(len(piece) for piece in stream.chunks())
    assert sum(sizes) == 1_000_000
    assert max(sizes) <= 65536


def test_redirects() -> None:
    """Redirects are followed as often as asked; a POST becomes a GET as browsers do it."""
    routes = {
        "/a": Reply(302, headers={"Location": "/b"}),
        "/b": Reply(303, headers={"Location": "c"}),
        "/c": Reply(200, "c"),
    }
    with serving(routes) as web:
        assert fetch(f"{web.url}/a").status == 302
        assert fetch(f"{web.url}/a", redirects=1).status == 303
        response = fetch(f"{web.url}/a", redirects=2, method="POST", body=b"x")
        assert ("c", f"{web.url}/c", (f"{web.url}/a", f"{web.url}/b")) == (
            response.text(),
            response.url,
            response.history,
        )
        assert (web.requests[-1].method, web.requests[-1].body) == ("GET", b"")


def test_a_circle_of_redirects() -> None:
    """A circle ends after as many as asked."""
    with serving({"/": Reply(302, headers={"Location": "/"})}) as web:
        assert fetch(f"{web.url}/", redirects=5).status == 302
        assert len(web.requests) == 6


def test_secrets_stay_with_their_host() -> None:
    """A redirect to another place carries no header that could be a secret, and no body."""
    secrets = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Api-Key": "k", "Accept": "text/html"}
    with serving({"/": Reply(200)}) as other:
        there = {"Location": f"{other.url}/"}
        with serving({"/same": Reply(302, headers={"Location": "/other"}), "/other": Reply(302, headers=there),
                      "/keep": Reply(307, headers=there)}) as web:  # fmt: skip
            fetch(web.url.replace("://", "://me:pass@") + "/same", redirects=2, headers=secrets)
            found = failure(f"{web.url}/keep", redirects=1, method="POST", body=b"secret")
            assert web.requests[1].headers["authorization"] == "Bearer x"
        (got,) = other.requests
    assert {"host", "user-agent", "accept", "connection"} == set(got.headers)
    assert found.phase == "redirect"


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://x/", "javascript:1", "http://[bad/"])
def test_redirects_that_lead_elsewhere(location: str) -> None:
    """A redirect to something that is no web address is a failure."""
    with serving({"/": Reply(302, headers={"Location": location})}) as web:
        assert failure(f"{web.url}/", redirects=3).phase == "redirect"


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain; charset=iso-8859-1", b"\xe9", "é"),
        ("text/plain; charset=ISO_8859-1", b"\xe9", "é"),
        ("text/plain; charset=Windows-1251", b"\xef", "п"),
        ("text/plain; charset=shift_jis", b"\x83\x5c", "ソ"),
        ("text/plain; charset=gb2312", b"\xd6\xd0", "中"),
        ('text/plain; a="; charset=utf-16"; charset="iso-8859-1"; charset=utf-16', b"\xe9", "é"),
        ("text/plain; charset=utf-8, text/html", b"ok", "ok"),
        ("text/plain; charset=", b"ok", "ok"),
        ("text/plain; charset=iso-8859-1", b"\xef\xbb\xbf\xc3\xa9", "é"),
        ("text/plain", b"\xfe\xff\x00o\x00k", "ok"),
        ("text/plain", b"\xff\xfeo\x00k\x00", "ok"),
        ("text/plain", "é".encode(), "é"),
        ("text/plain; charset=nonsense", b"ok", "ok"),
        ("text/plain; charset=zlib", b"ok", "ok"),
        ("text/plain; charset=utf-8", b"\xff\xff", "��"),
        ("text/plain; charset=utf-16", b"\x00\xd8", "�"),
        ('text/plain; charset="utf-8"', b"ok", "ok"),
    ],
)
def test_charsets(kind: str, body: bytes, text: str) -> None:
    """Text is decoded by its charset; a wrong one breaks nothing."""
    assert text == decode_text(body, kind)


@pytest.mark.parametrize(
    ("charset", "body", "readable"),
    [
        ("utf-8", b"\xff", True),
        ("nonsense", b"ok", True),
        ("nonsense", "é".encode(), True),
        ("nonsense", b"\xe9", False),
        ("cp037", "panic".encode("cp037"), False),
        ("utf-32", "panic".encode("utf-32-be"), True),
        ("utf-7", b"+AHAAYQBuAGkAYw-", False),
        ("UTF_7", b"+AHAAYQBuAGkAYw-", False),
        ("iso-2022-kr", b"panic", False),
    ],
)
def test_charsets_that_cannot_be_read(charset: str, body: bytes, readable: bool) -> None:
    """Text in a charset that no client knows is not judged, unless it is valid UTF-8."""
    with serving({"/": Reply(200, body, {"Content-Type": f"text/plain; charset={charset}"})}) as web:
        problem = fetch(web.url).text_problem()
    assert readable is (problem is None)


def test_a_charset_costs_no_time() -> None:
    """Python's encodings that take quadratic time are not used."""
    body = b"-".join([b"a" * 60] * 2**14)
    began = time.monotonic()
    for charset in ("punycode", "idna", "unicode_escape", "zlib", "bz2", "hex", "rot13", "undefined", "mbcs"):
        decode_text(body, f"text/plain; charset={charset}")
    assert time.monotonic() - began < LATE


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "{", "", "[" * 100_000, "\xff", '{"a": 1} x'])
def test_no_json(text: str) -> None:
    """What is no JSON is a ValueError, also where it is nested too deeply."""
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_huge_numbers() -> None:
    """Numbers too long for an integer become floats."""
    assert [10**300, float("inf"), float("inf")] == parse_json(f"[1{'0' * 300}, 1e999, 1{'0' * 5000}]")


def test_importing_is_cheap() -> None:
    """The client imports neither requests nor urllib3, which would double the gate's start."""
    script = "import sys, gate.http.client; print(sorted({'requests', 'urllib3', 'certifi'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
