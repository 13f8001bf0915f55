"""`recon suggest`: looks at two files and writes the rule set that would match them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from recon.artifacts import OutUnusable
from recon.inputs import open_input
from recon.match import SOURCE_ID, TARGET_ID

if TYPE_CHECKING:
    from matching.suggest.proposal import Suggestion
    from matching.suggest.rule_search import FoundRule


def suggest_command(
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, Excel, Parquet or JSON lines.")],
    target: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What SOURCE is to be compared with.")],
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File to write the rule set to. Default: standard output.")
    ] = None,
) -> None:
    """Propose keys, field mappings and rules from two files alone, as a rule set that `recon match --rules` takes.

    What is proposed, how sure it is and why goes to standard error. Exits with 1 where no key was found.
    """
    suggestion = suggest_files(source, target)
    _print(Console(stderr=True, highlight=False), suggestion)
    rule_set = suggestion.rule_set(f"{source.name} against {target.name}")
    if rule_set is None:
        raise typer.Exit(1)
    text = json.dumps(rule_set, indent=2, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        try:
            out.write_text(text, "utf-8")
        except OSError as error:
            raise OutUnusable(out, error) from error


def suggest_files(source: Path, target: Path) -> Suggestion:
    """What two files suggest. Raises FileUnreadable."""
    with TemporaryDirectory(prefix="recon-suggest-") as work, ThreadPoolExecutor(2) as threads:
        reading = [
            threads.submit(open_input, path, file_id, Path(work, f"{file_id}.parquet"))
            for path, file_id in ((source, SOURCE_ID), (target, TARGET_ID))
        ]
        # Loaded while the files are read.
        from matching.suggest.proposal import suggest

        found_source, found_target = (one.result() for one in reading)
        return suggest(found_source, found_target)


def _print(console: Console, suggestion: Suggestion) -> None:
    from rich.table import Table

    console.print(escape(suggestion.explanation))
    tables = (
        Table("Source key", "Target key", "Confidence", "Reason", title="Keys", title_justify="left"),
        Table("Source field", "Target field", "Confidence", "Reason", title="Mappings", title_justify="left"),
        Table("Source field", "Target field", "Rule", "Confidence", "Reason", title="Rules", title_justify="left"),
    )
    keys, mappings, rules = tables
    for key in suggestion.keys:
        sides = [escape(", ".join(names)) for names in zip(*key.fields, strict=True)]
        keys.add_row(*sides, f"{key.confidence:.2f}", escape(key.reason))
    for one in suggestion.mappings:
        mappings.add_row(
            escape(one.source_field), escape(one.target_field), f"{one.confidence:.2f}", escape(one.reason)
        )
    for one in suggestion.rules:
        if not one.is_key:
            said = escape(_in_words(one.rule))
            shown = escape(one.source_field), escape(one.target_field), said, f"{one.confidence:.2f}"
            rules.add_row(*shown, escape(one.reason))
    for table in tables:
        if table.row_count:
            console.print(table)


def _in_words(rule: FoundRule) -> str:
    """`RANGE 0.01`, `EXACT after UPPER`."""
    options = " ".join(str(one) for one in rule.options.values())
    chains = (*rule.source_transforms, *rule.target_transforms, *rule.transforms)
    names = list(dict.fromkeys(one if isinstance(one, str) else str(one["type"]) for one in chains))
    return f"{rule.match_type.value} {options}".strip() + (f" after {', '.join(names)}" if names else "")
