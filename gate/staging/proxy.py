"""A TCP proxy and stub of ours: stands in front of a dependency and delays, cuts or resets, or answers in its place.

It runs inside the gate in front of a process, and as `python -m gate.staging.proxy` in a container of our own image
that has taken a dependency's name. It prints one line of JSON for each connection; a connection that begins with
`PROBE` is answered by the proxy itself, through the same delay, so that the delay can be measured from outside. One
that it cuts or resets has a line of its own, so that nobody else's doing is taken for it.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import random
import socket
import struct
import sys
import threading
from contextlib import suppress

from msgspec import Struct, structs

PROBE = b"PRODGATE-PROBE\n"
_CHUNK = 64 * 1024
_QUEUE = 64
_SIOCGIFADDR = 0x8915
_SIOCSIFADDR = 0x8916


class ProxyBehaviour(Struct, frozen=True):
    """What the proxy does to connections. All durations are in seconds.

    `latency` with up to `jitter` more or less delays every piece of data each way; `cut` ends a connection after so
    long; `reset` ends it at once with RST; `status` answers every request in the dependency's place; `close` accepts
    and closes.
    """

    latency: float = 0.0
    jitter: float = 0.0
    cut: float | None = None
    reset: bool = False
    status: int | None = None
    delay: float = 0.0
    close: bool = False

    @property
    def stub(self) -> bool:
        """Whether it answers itself."""
        return self.close or self.status is not None


class Proxy:
    """A proxy for one port. In a container of its own it says in its log what it has handled, and what broken."""

    def __init__(self, upstream: tuple[str, int], *, logs: bool = False) -> None:
        self.upstream = upstream
        self.logs = logs
        self.mode = ProxyBehaviour()
        self.served = 0
        self.broken = 0
        self._open: set[asyncio.StreamWriter] = set()

    def set_behaviour(self, mode: ProxyBehaviour) -> None:
        """Takes another mode, and breaks what is open, so that pools come back through it."""
        self.mode = mode
        for writer in list(self._open):
            _reset(writer)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handles one connection."""
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
        mode = self.mode
        self.served += 1
        self._tell(served=self.served)
        if mode.reset:
            self._break(writer)
        elif mode.stub:
            await _stub(mode, reader, writer)
        else:
            await self._until_cut(mode, reader, writer)

    async def _until_cut(
        self, mode: ProxyBehaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with asyncio.timeout(mode.cut) as limit:
                await self._forward(mode, reader, writer)
        except TimeoutError:
            if not limit.expired():
                raise
            self._break(writer)

    def _break(self, writer: asyncio.StreamWriter) -> None:
        _reset(writer)
        self.broken += 1
        self._tell(broken=self.broken)

    def _tell(self, **count: int) -> None:
        if self.logs:
            _say(json.dumps(count))

    async def _forward(self, mode: ProxyBehaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = b""
        if mode.latency:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    first = await reader.read(_CHUNK)
        if first == PROBE:
            await asyncio.sleep(_wait(mode))
            writer.write(first)
            await writer.drain()
            return
        there, back = await asyncio.open_connection(*self.upstream)
        self._open.add(back)
        try:
            both = (_pump(mode, reader, back, first), _pump(mode, there, writer))
            await asyncio.gather(*both)
        finally:
            self._open.discard(back)
            back.close()


def _wait(mode: ProxyBehaviour) -> float:
    return max(0.0, mode.latency + random.uniform(-mode.jitter, mode.jitter))  # noqa: S311 - no secret


async def _pump(
    mode: ProxyBehaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes = b""
) -> None:
    """Carries one direction: every piece arrives as late as the mode says, in order, and none waits for another."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUE)

    async def read() -> None:
        if first:
            await pieces.put((loop.time() + _wait(mode), first))
        while data := await reader.read(_CHUNK):
            await pieces.put((loop.time() + _wait(mode), data))
        await pieces.put((loop.time() + _wait(mode), b""))

    async def write() -> None:
        while True:
            due, data = await pieces.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                with suppress(OSError):
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    await asyncio.gather(read(), write())


async def _stub(mode: ProxyBehaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if mode.close:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(mode.delay)
    body = b"impersonated by prodgate\n"
    head = f"HTTP/1.1 {mode.status} Impersonated\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST: nothing that is under way arrives any more."""
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


class ProxyThread:
    """A proxy inside the gate, in a thread of its own: `listen` on loopback, in front of a port there."""

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

    def set_behaviour(self, mode: ProxyBehaviour) -> None:
        """Takes another mode; returns when it holds."""
        done = threading.Event()

        def change() -> None:
            self.proxy.set_behaviour(mode)
            done.set()

        self._loop.call_soon_threadsafe(change)
        done.wait(5)

    def close(self) -> None:
        """Ends it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


def main(arguments: list[str]) -> int:
    """`HOST PORT[,PORT...] MODE`: listens on the same ports, in front of the host, in one mode given as JSON.

    `claim ADDRESS OWN`: has this container answer for another address, too, on the interface that has its `OWN` one.
    """
    if arguments[0] == "claim":
        claim_ip(arguments[1], arguments[2])
        return 0
    host, ports, mode = arguments[0], arguments[1].split(","), ProxyBehaviour(**json.loads(arguments[2]))

    async def run() -> None:
        for port in ports:
            proxy = Proxy((host, int(port)), logs=True)
            proxy.mode = mode
            await asyncio.start_server(proxy.serve, None, int(port))  # IPv4 and IPv6, as far as there are
        _say(json.dumps({"mode": structs.asdict(mode)}))
        await asyncio.Event().wait()

    asyncio.run(run())
    return 0


def claim_ip(address: str, own: str) -> None:
    """Give the interface that has `own` another address besides it (netdevice(7)). Needs CAP_NET_ADMIN."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        interface = next(name for _, name in socket.if_nameindex() if _address(any_socket, name) == own)
        request = struct.pack("16sHH4s8x", f"{interface}:1".encode(), socket.AF_INET, 0, socket.inet_aton(address))
        fcntl.ioctl(any_socket, _SIOCSIFADDR, request)


def _address(any_socket: socket.socket, interface: str) -> str:
    """Return the first IPv4 address of a network interface; empty if it has none."""
    request = struct.pack("16s16x", interface.encode())
    try:
        return socket.inet_ntoa(fcntl.ioctl(any_socket, _SIOCGIFADDR, request)[20:24])
    except OSError:
        return ""


def _say(line: str) -> None:
    print(line, flush=True, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
