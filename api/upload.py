"""Multipart uploads, streamed: each part goes to its sink as it arrives and is never whole in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException

from models.errors import PayloadTooLarge, ValidationFailed
from models.uploads import Incoming

HOP = 1 << 20
"""Bytes gathered before a thread is asked to write them."""


@dataclass
class _Part:
    headers: Message = field(default_factory=Message)
    header_name: bytes = b""
    header_value: bytes = b""
    sink: Incoming | None = None


class MultipartReceiver:
    """Feeds the file parts called `name` of one request into sinks, in order; other parts are read past."""

    def __init__(self, boundary: bytes, name: str, open_sink: Callable[[str, str | None], Incoming]) -> None:
        self.received: list[Incoming] = []
        self.ended = False
        self._name = name
        self._open_sink = open_sink
        self._part = _Part()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_bytes,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes of the body."""
        self._parser.write(chunk)

    def abandon(self) -> None:
        """Forgets every sink of the request, finished or not."""
        for incoming in (*self.received, self._part.sink):
            if incoming is not None:
                incoming.abandon()

    def _begin(self) -> None:
        self._part = _Part()

    def _header_field(self, buffer: bytes, start: int, end: int) -> None:
        self._part.header_name += buffer[start:end]

    def _header_value(self, buffer: bytes, start: int, end: int) -> None:
        self._part.header_value += buffer[start:end]

    def _header_end(self) -> None:
        part = self._part
        part.headers[part.header_name.decode("latin-1")] = part.header_value.decode("utf-8", "replace")
        part.header_name = part.header_value = b""

    def _headers_finished(self) -> None:
        disposition = self._part.headers.get("content-disposition", "")
        _, options = parse_options_header(disposition.encode())
        if options.get(b"name", b"").decode() == self._name and b"filename" in options:
            filename = options[b"filename"].decode("utf-8", "replace")
            self._part.sink = self._open_sink(filename, self._part.headers.get("content-type"))

    def _part_bytes(self, buffer: bytes, start: int, end: int) -> None:
        if self._part.sink is not None:
            self._part.sink.write(buffer[start:end])

    def _part_end(self) -> None:
        if self._part.sink is not None:
            self._part.sink.finish()
            self.received.append(self._part.sink)
            self._part.sink = None

    def _end(self) -> None:
        self.ended = True


async def receive(
    request: Request, name: str, limit: int, open_sink: Callable[[str, str | None], Incoming]
) -> list[Incoming]:
    """Reads the request to its end and gives the finished sinks of the parts called `name`.

    Raises ValidationFailed where there is no such part or the body breaks off, PayloadTooLarge beyond `limit` bytes, and
    an HTTP 415 where the request is not multipart. Whatever is raised, no sink stays open and nothing stays behind.
    """
    kind, options = parse_options_header(request.headers.get("content-type", "").encode())
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise HTTPException(415, "Expected multipart/form-data with a boundary")
    try:
        receiver = MultipartReceiver(options[b"boundary"], name, open_sink)
    except ValueError as error:
        raise ValidationFailed(f"The multipart body can't be read: {error}", fields={name: str(error)}) from error
    try:
        await _feed_all(request, receiver, limit)
    except BaseException as error:
        await run_in_threadpool(receiver.abandon)
        if isinstance(error, ValueError):
            raise ValidationFailed(f"The multipart body can't be read: {error}", fields={name: str(error)}) from error
        raise
    if not receiver.ended:
        await run_in_threadpool(receiver.abandon)
        raise ValidationFailed("The multipart body breaks off", fields={name: "the body breaks off"})
    if not receiver.received:
        raise ValidationFailed(f"Required parameter is missing: {name}", fields={name: "a file part is required"})
    return receiver.received


async def _feed_all(request: Request, receiver: MultipartReceiver, limit: int) -> None:
    gathered = bytearray()
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > limit:
            raise PayloadTooLarge(f"File size exceeds maximum limit of {_readable(limit)}", limit=limit)
        gathered += chunk
        if len(gathered) >= HOP:
            await run_in_threadpool(receiver.feed, bytes(gathered))
            gathered.clear()
    await run_in_threadpool(receiver.feed, bytes(gathered))


def _readable(size: int) -> str:
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.1f}".removesuffix(".0") + unit
    return f"{size} bytes"
