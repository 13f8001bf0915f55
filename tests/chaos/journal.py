"""What happened in a sitting, with its times: a line for people, and the same as JSON for whoever replays a failure."""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Journal:
    """Writes to standard output and to `journal.jsonl` in `home`. Safe to share between threads."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self._file = (home / "journal.jsonl").open("a")
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def close(self) -> None:
        self._file.close()

    def note(self, kind: str, words: str = "", *, quiet: bool = False, **facts: Any) -> None:
        """`quiet` facts are for the file alone."""
        elapsed = round(time.monotonic() - self._began, 3)
        entry = {"at": datetime.now(UTC).isoformat(), "elapsed": elapsed, "kind": kind, "words": words, **facts}
        with self._lock:
            self._file.write(json.dumps(entry, default=str) + "\n")
            self._file.flush()
            if not quiet:
                sys.stdout.write(f"{datetime.now(UTC):%H:%M:%S} {elapsed:8.1f}  {kind:<10} {words}\n")
                sys.stdout.flush()
