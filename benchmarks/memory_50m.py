"""Memory of `recon match` on 50 million rows a side from Parquet, all artifacts: the peak of the process, in GB.

The limit is the default one: half of the machine's memory, and 6 GB at most. The peak is what Linux says of the process when it
has ended (its high-water mark of resident memory, pages of mapped files included).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter

from exact.contest import ours
from exact.rows import Inputs, made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--memory", help="another limit")
    asked = parser.parse_args()
    source, target = made(Inputs(asked.rows))
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < asked.rows * 500:
        raise SystemExit(f"{asked.rows * 500 / 1e9:.0f} GB of disk are needed, {free / 1e9:.0f} are free")
    with tempfile.TemporaryDirectory(prefix="recon-bench-") as work:
        command = [*ours(source, target)(Path(work, "out")), *(["--memory", asked.memory] if asked.memory else [])]
        started = perf_counter()
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - started
        if status:
            raise SystemExit(os.waitstatus_to_exitcode(status))
        written = sum(one.stat().st_size for one in Path(work, "out").iterdir())
    # Kilobytes on Linux.
    peak = usage.ru_maxrss * 1024 / 1e9
    print(f"{asked.rows:,} rows a side: {seconds:.0f} s, peak {peak:.2f} GB, artifacts {written / 1e9:.1f} GB")
    name = "memory_50m_gb" if asked.rows == 50_000_000 else f"memory_{asked.rows}_gb"
    print(f"ratio {name} {peak:.2f}")


if __name__ == "__main__":
    main()
