"""A TCP line to one server that can be cut, silenced and slowed down, as networks do it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from enum import StrEnum
from types import TracebackType
from typing import Self

CHUNK = 1 << 16
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Trouble(StrEnum):
    CUT = "cut"
    """Connections are reset, those of now and those that are tried."""
    DROP = "drop"
    """Nothing passes in either direction; what was sent is lost with its connection when the trouble is over."""
    DEAFEN = "deafen"
    """As DROP for replies, while requests go on to arrive: a commit happens and nobody hears of it."""
    DELAY = "delay"
    """Every chunk takes `LAG` longer."""


LAG = 0.2
"""Seconds."""


class Line:
    """Forwards a free loopback port to `port` in a thread of its own, within `with`."""

    def __init__(self, port: int) -> None:
        self.upstream = port
        self.port = 0
        self._trouble: Trouble | None = None
        self._loop = asyncio.new_event_loop()
        self._calm: asyncio.Event | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._serving = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._over = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._serving.wait(10):
            raise RuntimeError("the proxy did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()

    def trouble(self, kind: Trouble) -> None:
        """Begins the trouble; returns when it is in effect."""
        self._ask(self._begin(kind))

    def heal(self) -> None:
        """Ends it."""
        self._ask(self._end())

    def _ask(self, act: object) -> None:
        asyncio.run_coroutine_threadsafe(act, self._loop).result(10)  # pyright: ignore[reportArgumentType]

    async def _begin(self, kind: Trouble) -> None:
        assert self._calm is not None
        self._trouble = kind
        self._calm.clear()
        if kind is Trouble.CUT:
            self._reset_all()

    async def _end(self) -> None:
        assert self._calm is not None
        if self._trouble in (Trouble.DROP, Trouble.DEAFEN):
            self._reset_all()
        self._trouble = None
        self._calm.set()

    def _reset_all(self) -> None:
        for writer in list(self._open):
            _reset(writer)

    async def _serve(self) -> None:
        self._calm = asyncio.Event()
        self._calm.set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        self._serving.set()
        await self._over.wait()
        server.close()
        self._reset_all()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._trouble is Trouble.CUT:
            _reset(writer)
            return
        self._open.add(writer)
        there: asyncio.StreamWriter | None = None
        try:
            replies, there = await asyncio.open_connection("127.0.0.1", self.upstream)
            self._open.add(there)
            flows = [
                asyncio.create_task(self._pump(reader, there, replies=False)),
                asyncio.create_task(self._pump(replies, writer, replies=True)),
            ]
            await asyncio.wait(flows, return_when=asyncio.FIRST_EXCEPTION)
            for flow in flows:
                flow.cancel()
            await asyncio.gather(*flows, return_exceptions=True)
        except OSError:
            pass  # nobody listens there: a server is being restarted
        finally:
            for one in (writer, there):
                if one is not None:
                    self._open.discard(one)
                    _reset(one)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, replies: bool) -> None:
        """Passes bytes on until the end, which it passes on too; an error ends the connection in both directions."""
        assert self._calm is not None
        while chunk := await source.read(CHUNK):
            while self._trouble is Trouble.DROP or (self._trouble is Trouble.DEAFEN and replies):
                await self._calm.wait()
            if self._trouble is Trouble.DELAY:
                await asyncio.sleep(LAG)
            sink.write(chunk)
            await sink.drain()
        sink.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST, whatever is still on its way."""
    given = writer.get_extra_info("socket")
    if given is not None:
        with contextlib.suppress(OSError):
            given.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
