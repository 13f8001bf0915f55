"""How similar two texts are: compiled code on distinct pairs only."""

from __future__ import annotations

import numpy as np
import polars as pl


def levenshtein_similarity(source: pl.Series, target: pl.Series) -> pl.Series:
    """Float64 per pair of texts: (L - d) / L.

    L is the number of code points of the longer text as it is, d the Levenshtein distance of the lower-cased texts; below 0
    where lower case is longer than the text. Nulls give null, two empty texts NaN.
    """
    # Imported here: it takes longer to load than most matches take without it.
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    frame = pl.DataFrame({"source": source, "target": target})
    pairs = frame.unique()
    lowered = pairs.select(pl.all().str.to_lowercase())
    distance = cpdist(
        lowered["source"].to_list(),
        lowered["target"].to_list(),
        scorer=Levenshtein.distance,
        dtype=np.int64,
        workers=-1,
    )
    # Length is that of the texts as they are: lower case may be longer.
    length = pl.max_horizontal(pl.all().str.len_chars()).cast(pl.Int64)
    similarity = ((length - pl.lit(pl.Series(distance))) / length).alias("similarity")
    return frame.join(
        pairs.with_columns(similarity), on=["source", "target"], how="left", maintain_order="left"
    ).get_column("similarity")
