"""Which failed writes are the disk's fault: they are worth another attempt, whoever wrote."""

from __future__ import annotations

import errno
import os
import re

import polars as pl

FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def disk_fault(error: BaseException) -> str | None:
    """The system's words if the disk was full, or failed; None for every other error."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and isinstance(error, OSError | pl.exceptions.ComputeError):
        # Polars gives the number in its text alone.
        told = re.search(r"\(os error (\d+)\)", str(error))
        number = int(told[1]) if told else None
    return os.strerror(number) if number in FAULTS else None
