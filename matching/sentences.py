"""What a break says about a comparison that failed, for a person who has to act on it."""

from __future__ import annotations

import polars as pl

from matching.fields import (
    DateWindowRule,
    ExactRule,
    FieldRule,
    FuzzyRule,
    OneOfRule,
    RangeRule,
    RegexRule,
    TextRule,
)
from matching.measures import AmountRule
from matching.plan import Comparison
from matching.terms import MatchType


def sentence(comparison: Comparison, note: pl.Series | None = None) -> pl.Expr:
    """Both values, and by how much the rule was missed: of the String columns `source_value`, `target_value` and `delta`.

    `note` is `Verdict.note` of the same rows; it goes before what the rule alone says.
    """

    def shown(column: str) -> pl.Expr:
        return pl.when(pl.col(column).is_null()).then(pl.lit("null")).otherwise(pl.format("'{}'", pl.col(column)))

    values = pl.format("{} in source, {} in target", shown("source_value"), shown("target_value"))
    start = pl.lit(f"Value mismatch for field {comparison.source_field}: ")
    reason = missed(comparison.rule)
    if note is not None:
        reason = pl.coalesce(pl.lit(note), reason)
    return pl.concat_str(start, values, pl.lit("; "), reason)


def missed(rule: FieldRule) -> pl.Expr:
    """By how much a rule was missed, of the String column `delta`."""
    delta = pl.col("delta")
    match rule:
        case RangeRule():
            return pl.format(f"difference {{}}, allowed {rule.tolerance:f}", delta).fill_null(
                "no difference can be taken"
            )
        case AmountRule():
            return pl.format(f"difference {{}}, allowed {allowed_text(rule)}", delta).fill_null(
                "no difference can be taken"
            )
        case DateWindowRule():
            days = "business days" if rule.business_days else "days"
            before, after = rule.days_allowed
            allowed = str(after) if before == after else f"{before} before to {after} after"
            return pl.format(f"{{}} {days} apart, allowed {allowed}", delta).fill_null("not two dates")
        case FuzzyRule():
            return pl.lit(f"less similar than {rule.fuzzy_threshold}")
        case ExactRule():
            return pl.lit("not equal")
        case TextRule():
            return pl.lit(_TEXTS[rule.match_type])
        case OneOfRule():
            return pl.lit("the table has no such pair")
        case RegexRule():
            return pl.lit("the pattern does not find the same in both")


def allowed_text(rule: AmountRule) -> str:
    """How far two amounts may be apart."""
    parts: list[str] = []
    if rule.absolute is not None:
        parts.append(f"{rule.absolute:f}")
    if rule.percent is not None:
        parts.append(f"{rule.percent:f}% of the {_BASES[rule.percent_of]}")
    text = (" or " if rule.combine == "LARGER" else " and ").join(parts)
    special = ", ".join(f"{code} {tolerance:f}" for code, tolerance in rule.per_currency.items())
    return f"{text} ({special})" if special else text


_BASES = {"SOURCE": "source", "TARGET": "target", "LARGER": "larger"}

_TEXTS = {
    MatchType.CONTAINS: "neither contains the other",
    MatchType.STARTS_WITH: "neither starts with the other",
    MatchType.ENDS_WITH: "neither ends with the other",
}
