"""Runs every script beside this one and gathers their `ratio NAME VALUE` lines into results.json."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    results: dict[str, float] = {}
    failed: list[str] = []
    for script in sorted(HERE.glob("*.py")):
        if script.name == Path(__file__).name:
            continue
        print(f"== {script.name}", flush=True)
        process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
        for line in process.stdout or ():
            print(line, end="", flush=True)
            words = line.split()
            if len(words) == 3 and words[0] == "ratio":
                results[words[1]] = float(words[2])
        if process.wait() != 0:
            failed.append(script.name)
    (HERE / "results.json").write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
