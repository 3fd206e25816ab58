"""A server for benchmarks that answers every request 0.1 s later. ``GET /ACCOUNT`` is answered with a balance of that
account."""

from __future__ import annotations

import asyncio
import re

LATENCY = 0.1

_REQUEST = re.compile(rb"GET /([^ ?]*)[^ ]* HTTP/1\.1\r\n.*?\r\n\r\n", re.DOTALL)
_BODY = b'{"account":"%s","currency":"EUR","balance":"1234567.89","asOf":"2026-11-20T22:59:59Z","status":"ok"}'


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while request := _REQUEST.match(self._held):
            self._held = self._held[request.end() :]
            asyncio.get_running_loop().call_later(LATENCY, self._answer, _BODY % request[1])

    def _answer(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def serve() -> None:
    """Print the port, and answer for ever."""
    asyncio.run(_serve())
