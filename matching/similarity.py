"""How similar two texts are: compiled code on distinct pairs only."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from matching.fields import Algorithm

_DIGITS = 9
"""What rapidfuzz computes in floats is rounded to so many places, so that a bound that is met is met everywhere."""

_REPEATED = 0.7
"""With fewer distinct pairs than this share, each is looked at once only."""


def similarities(source: pl.Series, target: pl.Series, algorithm: Algorithm) -> pl.Series:
    """Float64 per pair of texts, as `fields.FuzzyRule` describes them.

    Nulls give null. LEVENSHTEIN is below 0 where lower case is so much longer than the text, and NaN for two empty texts.
    """
    frame = pl.DataFrame({"source": source, "target": target})
    # Finding what is the same and bringing it back costs more than it saves where little is.
    repeats = frame.select(pl.struct("source", "target").hash().n_unique()).item() < _REPEATED * frame.height
    pairs = frame.unique() if repeats else frame
    lowered = pairs.select(pl.all().str.to_lowercase())
    texts = lowered["source"].to_list(), lowered["target"].to_list()
    if algorithm == "LEVENSHTEIN":
        # Length is that of the texts as they are: lower case may be longer.
        length = pl.max_horizontal(pl.all().str.len_chars()).cast(pl.Int64)
        similarity = (length - pl.lit(_scored(texts, algorithm))) / length
    else:
        similarity = pl.lit(_scored(texts, algorithm)).round(_DIGITS)
    judged = pairs.with_columns(similarity.alias("similarity"))
    if not repeats:
        return judged.get_column("similarity")
    found = frame.join(judged, on=["source", "target"], how="left", maintain_order="left")
    return found.get_column("similarity")


def _scored(texts: tuple[list[str], list[str]], algorithm: Algorithm) -> pl.Series:
    """Int64 distances for LEVENSHTEIN, Float64 similarities for the others."""
    # Imported here: it takes longer to load than most matches take without it.
    from rapidfuzz import fuzz
    from rapidfuzz.distance import JaroWinkler, Levenshtein
    from rapidfuzz.process import cpdist

    scorers: dict[Algorithm, Any] = {
        "LEVENSHTEIN": Levenshtein.distance,
        "JARO_WINKLER": JaroWinkler.similarity,
        "TOKEN_SORT": fuzz.token_sort_ratio,
        "TOKEN_SET": fuzz.token_set_ratio,
    }
    whole = algorithm == "LEVENSHTEIN"
    scores = cpdist(*texts, scorer=scorers[algorithm], dtype=np.int64 if whole else np.float64, workers=-1)
    return pl.Series(scores / 100 if algorithm.startswith("TOKEN") else scores)
