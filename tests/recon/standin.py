"""A process in the place of a stack's part: `python standin.py PORT [OPTION …]`. Answers 200 `up` on every path.

`--deaf` ignores SIGTERM; `--tell FILE` ends on it and says so in the file; `--family FILE` starts a deaf grandchild in a
session of its own and writes its pid to the file; `--exit CODE` prints a line and ends at once.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import FrameType


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"up")

    def log_message(self, format: str, *args: object) -> None:
        pass


def teller(told: Path) -> Callable[[int, FrameType | None], None]:
    def tell(number: int, frame: FrameType | None) -> None:
        told.write_text("SIGTERM")
        sys.exit(0)

    return tell


def main() -> None:
    port, *options = sys.argv[1:]
    if "--exit" in options:
        sys.stderr.write("this part can't start: no such thing\n")
        sys.exit(int(options[options.index("--exit") + 1]))
    if "--deaf" in options:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "--tell" in options:
        signal.signal(signal.SIGTERM, teller(Path(options[options.index("--tell") + 1])))
    if port == "sleep":
        time.sleep(600)
    if "--family" in options:
        grandchild = subprocess.Popen([sys.executable, __file__, "sleep", "--deaf"], start_new_session=True)
        Path(options[options.index("--family") + 1]).write_text(str(grandchild.pid))
    HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
