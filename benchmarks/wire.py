"""The least HTTP client that can be: what it costs is taken from the server on the same machine."""

import asyncio
import json
from typing import Any, Self


class Line:
    """One kept connection.

    Args:
        port: of a server on the loopback.
        token: an API key; empty sends none.
    """

    def __init__(self, port: int, token: str = "") -> None:
        self.port = port
        self.headers = f"Host: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        if token:
            self.headers += f"Authorization: Bearer {token}\r\n"
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request; returns the JSON of the answer.

        Raises:
            RuntimeError: it was refused.
        """
        self.begin(method, path, body)
        return await self.end(f"{method} {path}")

    def begin(self, method: str, path: str, body: Any = None) -> None:
        """Send a request without waiting for its answer."""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\n{self.headers}Content-Length: {len(data)}\r\n\r\n"
        self.writer.write(head.encode() + data)

    async def end(self, what: str) -> Any:
        """The answer to what was sent."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        if b"chunked" in head.lower():
            data = await self._chunks()
        else:
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            data = await self.reader.readexactly(int(length or 0))
        if status >= 300:
            raise RuntimeError(f"{what}: {status} {data[:300]!r}")
        return json.loads(data) if data else None

    async def _chunks(self) -> bytes:
        data = b""
        while size := int(await self.reader.readline(), 16):
            data += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return data
