"""The files of a generated case, all of them or none."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from recon.generate.knobs import GeneratorInvalid
from recon.generate.records import Generated

FORMATS = ("csv", "parquet")


def write(generated: Generated, directory: Path, file_format: str = "csv") -> list[Path]:
    """Writes `source` and `target` in the format, `truth.csv`, where there are any `groups.csv` and `rates.csv`, `truth.json` and
    `rules.json`; gives their paths in that order.

    CSV as UTF-8 with LF; a file of that name is replaced, others stay. Equal arguments give equal bytes: CSV and JSON
    everywhere, Parquet with the same version of Polars. Raises GeneratorInvalid for another format.
    """
    from models.tabular import write_csv, write_parquet

    if file_format not in FORMATS:
        available = ", ".join(FORMATS)
        raise GeneratorInvalid(f"Unknown format '{file_format}'; available: {available}", fields={"format": available})
    directory.mkdir(parents=True, exist_ok=True)
    texts = {"truth.json": generated.summary(), "rules.json": generated.rules}
    tables = {"truth": generated.truth} | ({} if generated.groups is None else {"groups": generated.groups})
    written: list[Path] = []
    with TemporaryDirectory(prefix=".recon-generate-", dir=directory) as work:
        for name, frame in {"source": generated.source, "target": generated.target}.items():
            written.append(Path(work, f"{name}.{file_format}"))
            (write_csv if file_format == "csv" else write_parquet)(frame, written[-1])
        for name, frame in {**tables, **generated.tables}.items():
            written.append(Path(work, f"{name}.csv"))
            write_csv(frame, written[-1])
        for name, content in texts.items():
            written.append(Path(work, name))
            with written[-1].open("w", encoding="utf-8", newline="\n") as file:
                json.dump(content, file, indent=2, ensure_ascii=False)
                file.write("\n")
        return [path.replace(directory / path.name) for path in written]
