"""A TCP proxy that delays, cuts or resets connections, or responds in place of its upstream.

It runs in a thread of the gate in front of a process, and as `python -m gate.staging.proxy` in a container that has
taken a dependency's aliases. There it logs one line of JSON for each connection, and one for each that it breaks.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import random
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct, structs

# A connection that begins with these bytes gets them back through the same delay: it measures the latency.
PROBE = b"PRODGATE-PROBE\n"
# In the proxy's container.
LATENCY_FILE = "/tmp/latency.json"  # noqa: S108 - nobody else is in this container
_CHUNK = 64 * 1024
_MAX_QUEUED_CHUNKS = 64
_FIRST_CHUNK_TIMEOUT = 0.05
# Requests of netdevice(7).
_SIOCGIFADDR = 0x8915
_SIOCSIFADDR = 0x8916


class ProxyBehaviour(Struct, frozen=True):
    """The behaviour of the proxy; by default it only forwards. All durations are in seconds.

    - `latency`: delay data in each direction, by up to `jitter` more or less.
    - `cut`: reset a connection after this time.
    - `reset`: reset a connection immediately.
    - `status`: respond with this HTTP status after `delay`, instead of forwarding.
    - `close`: accept and close connections, instead of forwarding.
    """

    latency: float = 0.0
    jitter: float = 0.0
    cut: float | None = None
    reset: bool = False
    status: int | None = None
    delay: float = 0.0
    close: bool = False

    @property
    def is_stub(self) -> bool:
        """Return whether it responds itself instead of forwarding."""
        return self.close or self.status is not None


class Proxy:
    """A proxy for one port. It counts the connections that it served and broke; with `logs`, it logs each count."""

    def __init__(self, upstream: tuple[str, int], *, logs: bool = False) -> None:
        self.upstream = upstream
        self.logs = logs
        self.behaviour = ProxyBehaviour()
        self.served = 0
        self.broken = 0
        self._open: set[asyncio.StreamWriter] = set()

    def set_behaviour(self, behaviour: ProxyBehaviour) -> None:
        """Change the behaviour and reset the open connections."""
        self.behaviour = behaviour
        # Connection pools must reconnect, or they would keep the old behaviour.
        for writer in list(self._open):
            _reset(writer)

    def set_latency(self, behaviour: ProxyBehaviour) -> None:
        """Change the latency and the jitter, also of open connections."""
        self.behaviour = structs.replace(self.behaviour, latency=behaviour.latency, jitter=behaviour.jitter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection."""
        self._open.add(writer)
        try:
            await self._handle(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            _reset(writer)
        finally:
            self._open.discard(writer)
            with suppress(OSError):
                writer.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behaviour = self.behaviour
        self.served += 1
        self._log_count(served=self.served)
        if behaviour.reset:
            self._break(writer)
        elif behaviour.is_stub:
            await _respond(behaviour, reader, writer)
        else:
            await self._forward_until_cut(behaviour, reader, writer)

    async def _forward_until_cut(
        self, behaviour: ProxyBehaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with asyncio.timeout(behaviour.cut) as limit:
                await self._forward(reader, writer)
        except TimeoutError:
            if not limit.expired():  # the upstream timed out, not `cut`
                raise
            self._break(writer)

    def _break(self, writer: asyncio.StreamWriter) -> None:
        _reset(writer)
        self.broken += 1
        self._log_count(broken=self.broken)

    def _log_count(self, **count: int) -> None:
        if self.logs:
            _print(json.dumps(count))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first_chunk = b""
        # Wait for a probe only if there is a latency to measure: many protocols let the server speak first.
        if self.behaviour.latency:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_CHUNK_TIMEOUT):
                    first_chunk = await reader.read(_CHUNK)
        if first_chunk == PROBE:
            await asyncio.sleep(self._delay())
            writer.write(first_chunk)
            await writer.drain()
            return
        upstream_reader, upstream_writer = await asyncio.open_connection(*self.upstream)
        self._open.add(upstream_writer)
        try:
            await asyncio.gather(
                _pump(self._delay, reader, upstream_writer, first_chunk), _pump(self._delay, upstream_reader, writer)
            )
        finally:
            self._open.discard(upstream_writer)
            upstream_writer.close()

    def _delay(self) -> float:
        """Return the delay of the next chunk, in seconds."""
        jitter = self.behaviour.jitter
        return max(0.0, self.behaviour.latency + random.uniform(-jitter, jitter))  # noqa: S311 - no secret


async def _pump(
    delay: Callable[[], float], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first_chunk: bytes = b""
) -> None:
    """Forward one direction: every chunk is delayed on its own, in order."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MAX_QUEUED_CHUNKS)

    async def read() -> None:
        if first_chunk:
            await chunks.put((loop.time() + delay(), first_chunk))
        while data := await reader.read(_CHUNK):
            await chunks.put((loop.time() + delay(), data))
        await chunks.put((loop.time() + delay(), b""))

    async def write() -> None:
        while True:
            due, data = await chunks.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                with suppress(OSError):
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    await asyncio.gather(read(), write())


async def _respond(behaviour: ProxyBehaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if behaviour.close:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(behaviour.delay)
    body = b"impersonated by prodgate\n"
    head = f"HTTP/1.1 {behaviour.status} Impersonated\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST and discard the data under way."""
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


class ProxyThread:
    """A proxy in a thread of the gate, between two loopback ports. Raises OSError if it cannot listen."""

    def __init__(self, listen: int, upstream: int) -> None:
        self.proxy = Proxy(("127.0.0.1", upstream))
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, args=(listen,), daemon=True)
        self._thread.start()
        self._started.wait()
        if self._error:
            raise self._error

    def _run(self, listen: int) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            server = self._loop.run_until_complete(asyncio.start_server(self.proxy.serve, "127.0.0.1", listen))
        except OSError as error:
            self._error = error
            self._started.set()
            return
        self._started.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()

    def set_behaviour(self, behaviour: ProxyBehaviour) -> None:
        """Change the behaviour and reset the open connections; return when it is in effect."""
        self._change(lambda: self.proxy.set_behaviour(behaviour))

    def set_latency(self, behaviour: ProxyBehaviour) -> None:
        """Change the latency and the jitter, also of open connections; return when they are in effect."""
        self._change(lambda: self.proxy.set_latency(behaviour))

    def _change(self, action: Callable[[], None]) -> None:
        done = threading.Event()

        def change() -> None:
            action()
            done.set()

        self._loop.call_soon_threadsafe(change)
        done.wait(5)

    def close(self) -> None:
        """Stop the proxy."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


def main(arguments: list[str]) -> int:
    """Run a proxy: `HOST PORT[,PORT...] BEHAVIOUR` listens on the same ports as the host, with a behaviour in JSON.

    On SIGHUP it reads its latency from LATENCY_FILE. `claim ADDRESS OWN` instead adds an address to the interface that
    has the address `OWN`.
    """
    if arguments[0] == "claim":
        claim_ip(arguments[1], arguments[2])
        return 0
    host, ports, behaviour = arguments[0], arguments[1].split(","), ProxyBehaviour(**json.loads(arguments[2]))

    async def run() -> None:
        proxies = [Proxy((host, int(port)), logs=True) for port in ports]

        def read_latency() -> None:
            with open(LATENCY_FILE, encoding="utf-8") as file:
                changed = ProxyBehaviour(**json.load(file))
            for proxy in proxies:
                proxy.set_latency(changed)

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, read_latency)
        for port, proxy in zip(ports, proxies, strict=True):
            proxy.behaviour = behaviour
            await asyncio.start_server(proxy.serve, None, int(port))  # on IPv4 and IPv6, if available
        _print(json.dumps({"mode": structs.asdict(behaviour)}))
        await asyncio.Event().wait()

    asyncio.run(run())
    return 0


def claim_ip(address: str, own: str) -> None:
    """Add an address to the interface that has the address `own` (netdevice(7)). Needs CAP_NET_ADMIN."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inet_socket:
        interface = next(name for _, name in socket.if_nameindex() if _address(inet_socket, name) == own)
        request = struct.pack("16sHH4s8x", f"{interface}:1".encode(), socket.AF_INET, 0, socket.inet_aton(address))
        fcntl.ioctl(inet_socket, _SIOCSIFADDR, request)


def _address(inet_socket: socket.socket, interface: str) -> str:
    """Return the first IPv4 address of a network interface; empty if it has none."""
    request = struct.pack("16s16x", interface.encode())
    try:
        return socket.inet_ntoa(fcntl.ioctl(inet_socket, _SIOCGIFADDR, request)[20:24])
    except OSError:
        return ""


def _print(line: str) -> None:
    print(line, flush=True, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
