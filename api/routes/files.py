"""Files: upload, list, look at, download, delete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path as FilePath
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

from api.deps import Org, RecordId, Services, Use
from api.envelope import Acknowledged, Envelope, PageOf, PagingQuery, Wire, ok
from api.upload import receive
from models import files, uploads
from models.errors import FileVanished, ValidationFailed
from models.files import FileStatus, StoredFile
from models.tabular import Format, preview, profile, render
from models.uploads import Incoming

routes = APIRouter(prefix="/files", tags=["files"])

FORMATS = tuple(Format)
MOST_PREVIEW_ROWS = 1000
CHUNK = 1 << 20


class UploadedFile(Wire):
    """`missing`: the record is there and its bytes are not."""

    id: int
    original_filename: str
    content_type: str | None
    file_size: int
    status: str
    detected_schema: list[dict[str, Any]] | None
    row_count: int | None
    column_count: int | None
    processing_error: str | None
    checksum: str | None
    missing: bool
    created_at: datetime
    updated_at: datetime


class FilePreview(Wire):
    file_id: int
    filename: str
    headers: list[str]
    rows: list[list[Any]]
    total_rows: int
    preview_rows: int


class FileSchema(Wire):
    file_id: int
    filename: str
    columns: list[dict[str, Any]]
    total_rows: int


def _shape(use: Services, stored: StoredFile) -> UploadedFile:
    facts = stored.model_dump(exclude={"organization_id", "kind", "headers", "storage_path", "twin_path"})
    return UploadedFile(**facts, missing=not use.storage.exists(stored.storage_path))


def _multipart(part: str, *, many: bool) -> dict[str, Any]:
    one: dict[str, Any] = {"type": "string", "format": "binary"}
    shape = {"type": "array", "items": one} if many else one
    body = {"type": "object", "properties": {part: shape}, "required": [part]}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": body}}}}


async def _receive(request: Request, use: Services, org: int, part: str) -> list[Incoming]:
    def open_sink(filename: str, content_type: str | None) -> Incoming:
        return Incoming(use.storage, org, filename, content_type)

    return await receive(request, part, use.settings.upload_limit, open_sink)


def _register(use: Services, org: int, arrived: Sequence[Incoming]) -> list[UploadedFile]:
    return [_shape(use, stored) for stored in uploads.register_all(use.database, use.storage, org, arrived)]


def _announced(use: Services, answer: Response) -> Response:
    """The answer, after which the uploads are told to the streams that wait for them and to the engine."""
    answer.background = BackgroundTask(use.announcer.announce)
    return answer


@routes.post(
    "/upload",
    status_code=201,
    response_model=Envelope[list[UploadedFile]],
    openapi_extra=_multipart("files", many=True),
)
async def upload(request: Request, use: Use, org: Org) -> Response:
    """Several files at once, in parts called `files`."""
    arrived = await _receive(request, use, org, "files")
    stored = await run_in_threadpool(_register, use, org, arrived)
    return _announced(use, ok(stored, "Files uploaded successfully", status=201))


@routes.post(
    "/upload/single",
    status_code=201,
    response_model=Envelope[UploadedFile],
    openapi_extra=_multipart("file", many=False),
)
async def upload_single(request: Request, use: Use, org: Org) -> Response:
    """One file, in a part called `file`; further parts are ignored."""
    first, *surplus = await _receive(request, use, org, "file")
    for one in surplus:
        await run_in_threadpool(one.abandon)
    (stored,) = await run_in_threadpool(_register, use, org, [first])
    return _announced(use, ok(stored, "File uploaded successfully", status=201))


@routes.get("", response_model=Envelope[list[UploadedFile] | PageOf[UploadedFile]])
def listed(use: Use, org: Org, paging: PagingQuery) -> Response:
    """The uploads; artifacts are listed by their step runs."""
    with use.database.read() as session:
        rows, total = files.uploads(session, org, **paging.window)
    return paging.answer(rows, total, lambda stored: _shape(use, stored))


@routes.get("/{id}", response_model=Envelope[UploadedFile])
def one(use: Use, org: Org, id: RecordId) -> Response:
    """One file, also an artifact's."""
    with use.database.read() as session:
        stored = files.get(session, org, id)
    return ok(_shape(use, stored))


def _processed(use: Services, org: int, file_id: int) -> tuple[StoredFile, str]:
    with use.database.read() as session:
        stored = files.get(session, org, file_id)
    if stored.status != FileStatus.PROCESSED or stored.twin_path is None:
        raise ValidationFailed("File processing failed. Please check your file and try again.", status=stored.status)
    if not use.storage.exists(stored.twin_path):
        raise FileVanished(f"The bytes of file {stored.id} '{stored.original_filename}' are missing", file_id=stored.id)
    return stored, stored.twin_path


@routes.get("/{id}/preview", response_model=Envelope[FilePreview])
def previewed(
    use: Use,
    org: Org,
    id: RecordId,
    rows: Annotated[int | None, Query(ge=0, le=MOST_PREVIEW_ROWS)] = None,
    limit: Annotated[int | None, Query(ge=0, le=MOST_PREVIEW_ROWS, description="another name of `rows`")] = None,
) -> Response:
    """The first rows as they are stored."""
    stored, twin = _processed(use, org, id)
    wanted = rows if rows is not None else limit if limit is not None else 100
    headers = stored.headers or []
    with use.storage.guard(twin):
        shown = preview(use.storage.scan_parquet(twin), wanted, headers)
    return ok(
        FilePreview(
            file_id=stored.id,
            filename=stored.original_filename,
            headers=headers,
            rows=shown,
            total_rows=stored.row_count or 0,
            preview_rows=len(shown),
        )
    )


@routes.get("/{id}/schema", response_model=Envelope[FileSchema])
def schema(use: Use, org: Org, id: RecordId) -> Response:
    """Columns with detected types and counts."""
    stored, twin = _processed(use, org, id)
    columns = stored.detected_schema
    if columns is None:
        with use.storage.guard(twin):
            columns = profile(use.storage.scan_parquet(twin), stored.row_count or 0)
    return ok(
        FileSchema(
            file_id=stored.id,
            filename=stored.original_filename,
            columns=columns,
            total_rows=stored.row_count or 0,
        )
    )


@routes.get("/{id}/download", response_class=StreamingResponse)
def download(use: Use, org: Org, id: RecordId, format: Annotated[str | None, Query()] = None) -> Response:
    """The file's own bytes, which its checksum is of; `format` (csv, parquet, arrow, xlsx) renders another one."""
    if format is not None and format not in FORMATS:
        raise ValidationFailed(
            f"Invalid value '{format}' for parameter 'format'. Expected one of: {', '.join(FORMATS)}",
            fields={"format": f"one of {', '.join(FORMATS)}"},
        )
    with use.database.read() as session:
        stored = files.get(session, org, id)
    own = stored.original_filename.rpartition(".")[2].lower()
    if format is None or (format == own and stored.twin_path is None):
        if not use.storage.exists(stored.storage_path):
            raise FileVanished(f"The bytes of file {id} '{stored.original_filename}' are missing", file_id=id)
        headers = {"Content-Length": str(stored.file_size)}
        if stored.checksum:
            headers["X-Checksum"] = stored.checksum
        kind = stored.content_type or "application/octet-stream"
        return _attachment(use.storage.chunks(stored.storage_path), stored.original_filename, kind, headers)
    stored, twin = _processed(use, org, id)
    stem = stored.original_filename.rpartition(".")[0] or stored.original_filename
    wanted = Format(format)
    work = ExitStack()
    try:
        rendered = work.enter_context(use.storage.scratch()) / f"rendered{wanted.extension}"
        with use.storage.guard(twin):
            render(use.storage.scan_parquet(twin), wanted, rendered)
    except BaseException:
        work.close()
        raise
    headers = {"Content-Length": str(rendered.stat().st_size)}
    return _attachment(_chunks(rendered, work), f"{stem}{wanted.extension}", wanted.content_type, headers)


def _chunks(path: FilePath, work: ExitStack) -> Iterator[bytes]:
    with work, path.open("rb") as source:
        while chunk := source.read(CHUNK):
            yield chunk


def _attachment(chunks: Iterator[bytes], filename: str, kind: str, headers: dict[str, str]) -> Response:
    plain = filename.encode("ascii", "replace").decode().replace('"', "'").replace("\\", "_").replace("?", "_")
    headers["Content-Disposition"] = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename)}"
    return StreamingResponse(chunks, media_type=kind, headers=headers)


@routes.delete("/{id}", response_model=Acknowledged)
def delete(use: Use, org: Org, id: RecordId) -> Response:
    """Deletes a file that nothing uses."""
    with use.database.write() as session:
        removed = files.remove(session, org, id)
    use.storage.delete(removed.storage_path)
    if removed.twin_path is not None:
        use.storage.delete(removed.twin_path)
    return ok(message="File deleted successfully")
