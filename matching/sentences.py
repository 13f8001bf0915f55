"""What a break says about a comparison that failed, for a person who has to act on it."""

from __future__ import annotations

import polars as pl

from matching.fields import DateWindowRule, ExactRule, FuzzyRule, RangeRule
from matching.plan import Comparison
from matching.terms import MatchType


def sentence(comparison: Comparison) -> pl.Expr:
    """Both values, and by how much the rule was missed: of the String columns `source_value`, `target_value` and `delta`."""

    def shown(column: str) -> pl.Expr:
        return pl.when(pl.col(column).is_null()).then(pl.lit("null")).otherwise(pl.format("'{}'", pl.col(column)))

    values = pl.format("{} in source, {} in target", shown("source_value"), shown("target_value"))
    start = pl.lit(f"Value mismatch for field {comparison.source_field}: ")
    return pl.concat_str(start, values, pl.lit("; "), _missed(comparison))


def _missed(comparison: Comparison) -> pl.Expr:
    match comparison.rule:
        case RangeRule() as rule:
            text = f"difference {{}}, allowed {rule.tolerance:f}"
            return pl.format(text, pl.col("delta")).fill_null("no difference can be taken")
        case DateWindowRule() as rule:
            text = f"{{}} days apart, allowed {rule.days_tolerance}"
            return pl.format(text, pl.col("delta")).fill_null("not two dates")
        case FuzzyRule() as rule:
            return pl.lit(f"less similar than {rule.fuzzy_threshold}")
        case ExactRule():
            return pl.lit("not equal")
        case rule:
            return pl.lit(_TEXTS[rule.match_type])


_TEXTS = {
    MatchType.CONTAINS: "neither contains the other",
    MatchType.STARTS_WITH: "neither starts with the other",
    MatchType.ENDS_WITH: "neither ends with the other",
}
