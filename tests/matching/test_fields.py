"""Field rules and transforms inside rule sets: everything is taken, stored and found wrong by its path."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from matching import reconcile, required_columns, rule_set_of
from matching.errors import RuleInvalid
from matching.fields import FieldRule
from matching.terms import MatchType, Strict
from matching.transforms import TRANSFORM_NAMES, Transform
from tests.matching.helpers import side

EVERYTHING: dict[str, Any] = {
    "passes": [
        {
            "name": "all",
            "keys": [
                {
                    "sourceField": "ref",
                    "targetField": "text",
                    "sourceTransforms": ["TRIM", {"type": "STRIP_LEADING_ZEROS"}],
                    "targetTransforms": [{"type": "REGEX_EXTRACT", "pattern": "INV-0*(\\d+)", "group": 1}],
                    "transforms": ["UPPER", "LOWER", "NFKC", "REMOVE_ACCENTS", "COLLAPSE_SPACES", "STRIP_PUNCTUATION"],
                },
                {
                    "sourceField": "first",
                    "targetField": "name",
                    "sourceTransforms": [{"type": "CONCAT", "fields": ["last"], "separator": " "}],
                    "targetTransforms": [
                        {"type": "REGEX_REPLACE", "pattern": "^(Mr|Ms) ", "replacement": "", "all": False},
                        {"type": "MAP", "table": {"J Doe": "John Doe"}, "default": "KEEP"},
                    ],
                    "transforms": [
                        {"type": "SUBSTRING", "start": 0, "length": 20},
                        {"type": "SPLIT_TAKE", "separator": ";", "index": 0},
                    ],
                },
            ],
            "comparisons": [
                {"sourceField": "ref", "targetField": "text", "matchType": "REGEX", "pattern": "(\\d\\d)$"},
                {
                    "sourceField": "amount",
                    "matchType": "NUMERIC",
                    "tolerance": 0.01,
                    "percent": "0.5",
                    "combine": "SMALLER",
                    "percentOf": "TARGET",
                    "perCurrency": {"JPY": 1, "USD": "0.01"},
                    "sourceCurrencyField": "currency",
                    "sourceLocale": "de-DE",
                    "targetLocale": "en",
                },
                {
                    "sourceField": "day",
                    "matchType": "DATE_WINDOW",
                    "daysBefore": 0,
                    "daysAfter": 2,
                    "businessDays": True,
                    "calendar": "DE",
                    "subdivision": "BY",
                    "weekend": ["SAT", "SUN"],
                    "sourceFormats": ["%d.%m.%Y"],
                },
                {
                    "sourceField": "card", "matchType": "ONE_OF",
                    "pairs": [{"source": "Visa", "target": "VI"}], "groups": [["MC", "M"]],
                },
                {
                    "sourceField": "last", "targetField": "name",
                    "matchType": "FUZZY", "algorithm": "TOKEN_SET", "fuzzyThreshold": 0.5,
                },
                {
                    "sourceField": "amount",
                    "matchType": "FX",
                    "rates": [{"from": "EUR", "to": "USD", "date": "2026-01-01", "rate": 1.1}],
                    "sourceCurrencyField": "currency",
                    "targetCurrencyField": "paid_in",
                    "dateField": "day",
                    "dateFormats": ["%d.%m.%Y"],
                    "maxAgeDays": 40,
                    "rounding": "HALF_UP",
                    "sourceLocale": "de",
                    "tolerance": "0.02",
                },
                {
                    "sourceField": "amount",
                    "matchType": "EXACT",
                    "sourceTransforms": [
                        {"type": "PARSE_NUMBER", "locale": "de"},
                        "NEGATE",
                        "ABSOLUTE",
                        {"type": "ROUND", "places": 1, "mode": "DOWN"},
                        {"type": "MINOR_UNITS", "currencyField": "currency"},
                    ],
                    "targetTransforms": [
                        "PARSE_NUMBER", {"type": "ROUND", "places": 1}, {"type": "MINOR_UNITS", "currency": "EUR"},
                    ],
                },
                {
                    "sourceField": "day",
                    "sourceTransforms": [{"type": "PARSE_DATE", "formats": ["%d.%m.%Y"]}],
                    "targetTransforms": ["PARSE_DATE"],
                },
            ],
        }
    ]
}  # fmt: skip


def test_every_rule_and_transform_is_taken_stored_and_run() -> None:
    rule_set = rule_set_of(json.loads(json.dumps(EVERYTHING)))
    stored = rule_set.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert rule_set_of(json.loads(json.dumps(stored))) == rule_set
    source_columns, target_columns = required_columns(rule_set)
    assert sorted(source_columns) == ["amount", "card", "currency", "day", "first", "last", "ref"]
    assert sorted(target_columns) == ["amount", "card", "day", "name", "paid_in", "text"]
    source = side(
        {
            "ref": [" 0042"], "first": ["John"], "last": ["Doe"], "amount": ["1.234,50"], "currency": ["EUR"],
            "day": ["02.01.2026"], "card": ["Visa"],
        }
    )  # fmt: skip
    target = side(
        {
            "text": ["INV-0042"], "name": ["Mr J Doe"], "amount": ["1,234.50"], "paid_in": ["USD"],
            "day": ["2026-01-07"], "card": ["VI"],
        },
        file_id=2,
    )  # fmt: skip
    outcome = reconcile(rule_set, source, target)
    agreed = [name for name in outcome.matches.columns if name.startswith("agrees_") and outcome.matches[name].item()]
    # Between Friday and Wednesday is Epiphany, so it is two business days; 1,234.50 EUR are 1,357.95 USD.
    assert agreed == [
        "agrees_1_ref",
        "agrees_2_amount",
        "agrees_3_day",
        "agrees_4_card",
        "agrees_5_last",
        "agrees_7_amount",
    ]
    assert outcome.breaks["description"].to_list() == [
        "Value mismatch for field amount: '1.234,50' in source, '1,234.50' in target; difference -123.45, allowed 0.02",
        "Value mismatch for field day: '02.01.2026' in source, '2026-01-07' in target; not equal",
    ]


@pytest.mark.parametrize(
    ("comparison", "path", "text"),
    [
        (
            {"matchType": "DATE_WINDOW", "businessDays": True, "calendar": "DDR"}, ".calendar",
            "unknown calendar 'DDR'; available: countries AD, AE, AF, ",
        ),
        (
            {"matchType": "DATE_WINDOW", "businessDays": True, "calendar": "DE", "subdivision": "TX"}, ".subdivision",
            "calendar DE has no subdivision 'TX'; available: BB, BE, ",
        ),
        ({"matchType": "DATE_WINDOW", "targetFormats": ["%F", "%Q"]}, ".targetFormats[1]", "unknown directive %Q; available: "),
        ({"matchType": "REGEX", "pattern": "("}, ".pattern", "not a regular expression: unclosed group"),
        ({"matchType": "ONE_OF", "pairs": [{"source": "a"}]}, ".pairs[0].target", "Field required"),
        ({"matchType": "NUMERIC", "sourceLocale": "klingon"}, ".sourceLocale", "unknown locale 'klingon'; available: "),
        (
            {"matchType": "FX", "dateField": "d", "rates": [{"from": "EUR", "to": "USD", "date": "1.1.26", "rate": 1}]},
            ".rates[0].date", "String should match pattern",
        ),
        ({"sourceTransforms": ["TRIM", {"type": "ROUND", "place": 1}]}, ".sourceTransforms[1]", "unknown option 'place'"),
        ({"targetTransforms": [{"type": "MAP"}]}, ".targetTransforms[0].table", "Field required"),
        ({"transforms": ["Trim"]}, ".transforms[0]", "unknown transform; available: TRIM, "),
        ({"matchType": "NUMERIC", "percentage": 1}, "", "unknown option 'percentage'; available: sourceField, "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_path(comparison: dict[str, Any], path: str, text: str) -> None:
    written = {
        "keys": [{"sourceField": "id"}],
        "comparisons": [{"sourceField": "a"}, {"sourceField": "v", **comparison}],
    }
    with pytest.raises(RuleInvalid) as raised:
        rule_set_of({"passes": [written]})
    assert list(raised.value.fields) == [f"passes[0].comparisons[1]{path}"]
    assert raised.value.fields[f"passes[0].comparisons[1]{path}"].startswith(text)


def test_rule_sets_are_read_without_waiting_for_polars() -> None:
    code = "import sys, matching.spec; sys.exit('polars' in sys.modules or 'holidays' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


RULES = Path(__file__).parents[2].joinpath("docs", "rules.md").read_text(encoding="utf-8")


def test_the_examples_of_the_documentation_are_taken() -> None:
    examples = [json.loads(one) for one in re.findall(r"```json\n(.*?)```", RULES, re.DOTALL)]
    written = [one for one in examples if "sourceField" in one]
    assert len(written) >= 9
    for example in written:
        part = "comparisons" if "matchType" in example else "keys"
        rule_set_of({"passes": [{"keys": [{"sourceField": "id"}], part: [example]}]})


def test_the_documentation_has_every_match_type_transform_and_option() -> None:
    models: list[type[Strict]] = []
    for union in (FieldRule, Transform):
        kinds = get_args(get_args(union)[0])
        models += [get_args(kind)[0] for kind in kinds]
    options = {field.alias or name for model in models for name, field in model.model_fields.items()}
    for name in (*MatchType, *TRANSFORM_NAMES, *options):
        assert f"`{name}`" in RULES or f'"{name}"' in RULES, name
