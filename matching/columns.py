"""Columns by name, whatever the name looks like."""

from __future__ import annotations

import polars as pl
import polars.selectors as cs


def exactly(*names: str) -> pl.Expr:
    """The columns of these names, in this order. `pl.col` and plain texts take `*` and `^x$` for patterns."""
    return cs.by_name(*names).as_expr()
