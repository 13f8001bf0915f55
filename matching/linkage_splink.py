"""Splink on DuckDB, kept quiet and repeatable: it estimates m and u of prepared frames, and scores their candidates.

Prepared frames have a row number `unique_id` in an order of their contents, and the columns of field `i` named by `column(i)`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import sqrt
from statistics import median
from typing import TYPE_CHECKING, Any

import polars as pl

from matching.errors import MatchingError
from matching.linkage_model import (
    WEIGHT_DECIMALS,
    FieldOdds,
    LevelOdds,
    LinkField,
    LinkMethod,
    LinkModel,
    LinkSettings,
    significant,
)

if TYPE_CHECKING:
    from splink import Linker

_ENOUGH_PAIRS = 100
"""Random pairs on each of a field's levels, after which its u is taken to be known."""

_LEAST_M = 1e-4
"""A level that no block showed among its true pairs is rare among them, not impossible."""


class LinkageUnavailable(MatchingError):
    """Splink, which probabilistic linkage works with, is not installed."""

    code = "LINKAGE_UNAVAILABLE"

    def __init__(self) -> None:
        command = "pip install 'recon-streams[linkage]'"
        super().__init__(f"Probabilistic linkage needs Splink; install it with {command}", command=command)


def column(field: int) -> str:
    """Of the field with this number, among all."""
    return f"f{field}"


def day_column(field: int) -> str:
    return f"f{field}_day"


def weight_column(number: int) -> str:
    """Of the compared field with this number, among the compared ones."""
    return f"weight_{number}"


def level_column(number: int) -> str:
    return f"level_{number}"


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Splink's log and the warnings of all that it imports to itself."""
    logger = logging.getLogger("splink")
    before, handler = logger.propagate, logging.NullHandler()
    logger.propagate = False
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


class Session:
    """One linkage's database, in memory: no file, no network, gone when closed. Use within `quiet`."""

    def __init__(self, source: pl.DataFrame, target: pl.DataFrame, settings: LinkSettings) -> None:
        """Raises LinkageUnavailable where Splink is missing."""
        try:
            import duckdb
            from splink import DuckDBAPI
        except ImportError as missing:
            raise LinkageUnavailable from missing
        self._settings = settings
        self._heights = source.height, target.height
        options: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "temp_directory": "",
        }
        self._connection = duckdb.connect(":memory:", config=options)
        self._api = DuckDBAPI(connection=self._connection)
        # Splink puts datasets in the order of their names: the source is its left one.
        for name, frame in (("a_source", source), ("b_target", target)):
            self._connection.register(f"{name}_rows", frame.to_arrow())
            self._connection.execute(f"CREATE TABLE {name} AS FROM {name}_rows")
            self._connection.unregister(f"{name}_rows")
        self._inputs = [
            self._api.register(name, dataset_display_name=name, table_name=f"{name}_input")
            for name in ("a_source", "b_target")
        ]

    def close(self) -> None:
        self._connection.close()
        self._api._ddb_con.close()  # pyright: ignore[reportPrivateUsage]

    def train(self, rules: Sequence[tuple[str, ...]], counts: Sequence[int], prior: float) -> LinkModel:
        """Estimates u from pairs of random rows and m by expectation maximisation within each of the `rules` in turn.

        `counts`: the candidates of each rule. `prior` is where the estimation starts, and what the model says.
        """
        from splink.internals.exceptions import EMTrainingException

        linker = self._linker(None, prior)
        most = self._settings.max_pairs
        linker.training.estimate_u_using_random_sampling(
            max_pairs=most, seed=self._settings.seed, min_count_per_level=_ENOUGH_PAIRS
        )
        # One thread: counts are whole numbers, but here the order in which floats are added up is part of the result.
        self._connection.execute("SET threads = 1")
        learned: list[tuple[str, ...]] = []
        true_pairs: list[float] = []
        settings = linker._settings_obj  # pyright: ignore[reportPrivateUsage]
        for rule, count in zip(rules, counts, strict=True):
            before = settings.core_model_settings.copy()
            try:
                block = linker.training.estimate_parameters_using_expectation_maximisation(
                    self._condition(rule),
                    estimate_without_term_frequencies=True,
                    max_pairs=most if count > most else None,
                    record_sample_proportion=1.0,
                )
            except (EMTrainingException, ValueError):
                # No pair is left of a sampled block, or none of its pairs is true: its m has gone below what a float can hold.
                # Splink leaves its settings half done.
                settings.core_model_settings = before
                true_pairs.append(0.0)
                continue
            learned.append(rule)
            true_pairs.append(count * block.core_model_settings.probability_two_random_records_match)
        self._connection.execute("RESET threads")
        share = min(median(true_pairs or [0.0]), *self._heights) / (self._heights[0] * self._heights[1])
        return self._model(linker.misc.save_model_to_json(), prior, share, tuple(learned))

    def score(self, model: LinkModel, blocking: Sequence[tuple[str, ...]], least: float) -> pl.DataFrame:
        """The candidates whose total weight is about `least` or more: both row numbers; per compared field, weight and level."""
        linker = self._linker(model, model.prior, blocking)
        found = linker.inference.predict(threshold_match_weight=least - 0.01)
        columns = ["unique_id_l AS source", "unique_id_r AS target"]
        for number, field in enumerate(self._settings.compared):
            weight = f"mw_c{number}"
            if field.term_frequency:
                weight += f" + mw_tf_adj_c{number}"
            columns.append(f"round({weight}, {WEIGHT_DECIMALS}) AS {weight_column(number)}")
            columns.append(f"gamma_c{number}::TINYINT AS {level_column(number)}")
        return self._connection.sql(f"SELECT {', '.join(columns)} FROM {found.physical_name}").pl()

    def _linker(self, model: LinkModel | None, prior: float, blocking: Sequence[tuple[str, ...]] = ()) -> Linker:
        from splink import Linker

        fields = self._settings.compared
        odds = [None] * len(fields) if model is None else list(model.fields)
        settings = {
            "link_type": "link_only",
            "probability_two_random_records_match": prior,
            # Without the values Splink leaves the levels out.
            "retain_matching_columns": True,
            "retain_intermediate_calculation_columns": True,
            "blocking_rules_to_generate_predictions": [{"blocking_rule": self._condition(rule)} for rule in blocking],
            "comparisons": [
                self._comparison(number, field, one)
                for number, (field, one) in enumerate(zip(fields, odds, strict=True))
            ],
        }
        return Linker(self._inputs, settings, log_level=None, validate_settings=False)

    def _condition(self, rule: tuple[str, ...]) -> str:
        columns = [self._column(name) for name in rule]
        return " and ".join(f"l.{one} = r.{one}" for one in columns)

    def _column(self, name: str) -> str:
        return column([one.name for one in self._settings.fields].index(name))

    def _comparison(self, number: int, field: LinkField, odds: FieldOdds | None) -> dict[str, Any]:
        conditions = self._conditions(field)
        levels: list[dict[str, Any]] = [
            {"sql_condition": condition, "label_for_charts": label}
            for label, condition in zip(field.levels, conditions, strict=True)
        ]
        if odds is not None:
            for level, learned in zip(levels, odds.levels, strict=True):
                level.update(m_probability=learned.m, u_probability=learned.u)
        own = self._column(field.name)
        if field.term_frequency:
            levels[0].update(tf_adjustment_column=own, tf_adjustment_weight=1.0)
        missing = {
            "sql_condition": f"{own}_l is null or {own}_r is null",
            "label_for_charts": "null",
            "is_null_level": True,
        }
        return {"output_column_name": f"c{number}", "comparison_levels": [missing, *levels]}

    def _conditions(self, field: LinkField) -> list[str]:
        """SQL of the field's levels, in their order."""
        own = self._column(field.name)
        conditions = [f"{own}_l = {own}_r"]
        if field.swapped_with is not None:
            other = self._column(field.swapped_with)
            conditions.append(f"{own}_l = {other}_r and {other}_l = {own}_r")
        if field.method is LinkMethod.DATE:
            # A transposition is two edits of the plain distance, which is much the quicker one.
            both = f"{own}_l, {own}_r"
            conditions.append(f"levenshtein({both}) <= 2 and damerau_levenshtein({both}) <= 1")
        for bound in field.bounds:
            conditions.append(_closeness(field.method, own, bound))
        return [*conditions, "ELSE"]

    def _model(
        self, trained: dict[str, Any], prior: float, share: float, rules: tuple[tuple[str, ...], ...]
    ) -> LinkModel:
        """`share`: of the random pairs are true, which raised what Splink took for u."""
        sampled = min(self._settings.max_pairs, self._heights[0] * self._heights[1])
        fields: list[FieldOdds] = []
        for field, comparison in zip(self._settings.compared, trained["comparisons"], strict=True):
            learned = comparison["comparison_levels"][1:]
            assumed = [0.95, *[0.05 / (len(learned) - 1)] * (len(learned) - 1)]
            levels: list[LevelOdds] = []
            for label, level, guess in zip(field.levels, learned, assumed, strict=True):
                m = max(level.get("m_probability", guess), _LEAST_M)
                # Not seen among random pairs: half a pair.
                seen = max(level.get("u_probability", 0.0), 0.5 / sampled)
                # What is left without the true pairs is not known better than to the standard error of the count.
                error = seen / sqrt(min(seen * sampled, _ENOUGH_PAIRS))
                u = max((seen - share * m) / (1 - share), error)
                levels.append(LevelOdds(label, significant(m), significant(min(u, seen))))
            fields.append(FieldOdds(field.name, tuple(levels), any("m_probability" in level for level in learned)))
        return LinkModel(significant(prior), tuple(fields), rules)


def _closeness(method: LinkMethod, own: str, bound: float) -> str:
    both = f"{own}_l", f"{own}_r"
    match method:
        case LinkMethod.JARO_WINKLER:
            return f"jaro_winkler_similarity({both[0]}, {both[1]}) >= {bound:.9f}"
        case LinkMethod.LEVENSHTEIN:
            return f"levenshtein({both[0]}, {both[1]}) <= {bound:g}"
        case LinkMethod.DATE:
            return f"abs({own}_day_l - {own}_day_r) <= {bound:g}"
        case _:
            share = f"cast({bound:.6f} as decimal(7, 6))"
            return f"abs({both[0]} - {both[1]}) <= {share} * greatest(abs({both[0]}), abs({both[1]}))"
