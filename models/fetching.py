"""Files at any fsspec URL, brought to this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec

from models.errors import FileVanished, StorageRefused, StorageUnavailable

CHUNK = 1 << 20
MISSING, REFUSALS = (404, 410), (401, 403)


def is_url(text: str) -> bool:
    """Whether a text is a URL rather than a path."""
    return "://" in text


def display_url(url: str) -> str:
    """The URL without what may be secret: credentials, query."""
    return re.sub(r"(?<=://)[^/@]*@", "", url.partition("?")[0])


def name_at(url: str) -> str:
    """The name of the file at a URL: the last part of its path, of a chain (`zip://a.csv::s3://…`) the first link's."""
    path = urlsplit(url.partition("::")[0])
    return PurePosixPath(unquote(path.path)).name or path.netloc


def fetch(url: str, local: Path, options: Mapping[str, Any]) -> None:
    """Copies what is at a URL to `local`; `options` are those of the URL's file system.

    Raises FileVanished, StorageRefused (credentials, or no such kind of URL), StorageUnavailable (worth another attempt); none of
    them names a secret.
    """
    with ExitStack() as opened, local.open("wb") as target:
        with _asking(url):
            source: Any = opened.enter_context(fsspec.open(url, "rb", **options))  # pyright: ignore[reportArgumentType]
        while True:
            with _asking(url):
                chunk = source.read(CHUNK)
            if not chunk:
                return
            target.write(chunk)


@contextmanager
def _asking(url: str) -> Iterator[None]:
    shown = display_url(url)
    try:
        yield
    except (ValueError, ImportError) as error:
        raise StorageRefused(f"{shown} can't be opened: {str(error).replace(url, shown)}", url=shown) from error
    except Exception as error:
        # fsspec takes every answer that it does not like for a missing file; the answer is the cause of its cause.
        reason: BaseException = error
        while isinstance(reason, FileNotFoundError) and reason.__cause__ is not None:
            reason = reason.__cause__
        status = getattr(reason, "status", None)
        if isinstance(reason, FileNotFoundError) or status in MISSING:
            raise FileVanished(f"There is no file at {shown}", url=shown) from error
        if isinstance(reason, PermissionError) or status in REFUSALS:
            raise StorageRefused(f"{shown} may not be read: access is refused", url=shown) from error
        if not isinstance(reason, OSError) and status is None and not _of_a_store(reason):
            raise
        said = f"status {status}" if status else type(reason).__name__
        raise StorageUnavailable(f"{shown} does not answer: {said}", url=shown) from error


def _of_a_store(error: BaseException) -> bool:
    module = type(error).__module__.partition(".")[0]
    return module in ("botocore", "aiobotocore", "aiohttp", "fsspec", "s3fs", "gcsfs", "adlfs", "paramiko")
