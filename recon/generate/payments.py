"""Orders against the payments of a gateway: one to one, by the order's reference."""

from __future__ import annotations

import polars as pl

from recon.generate import money, texts
from recon.generate.days import dates
from recon.generate.draws import Draws
from recon.generate.flows import flow
from recon.generate.knobs import Knobs
from recon.generate.records import Made

_METHODS = ("CARD", "CARD", "CARD", "WALLET", "TRANSFER", "DEBIT")


def make(rows: int, knobs: Knobs, draws: Draws) -> Made:
    """Source: `order_id`, `ordered_on`, `customer`, `currency`, `amount`. Target: `payment_id`, `order_ref`, `paid_on`,
    `payer`, `currency`, `amount`, `method`. A refund is a record of its own on both sides, with a negative amount.
    """
    paid = flow(rows, knobs, draws)
    order_id = texts.references(draws, rows, "ORD-00")
    customer = texts.people(draws, "customer", rows)
    source = pl.DataFrame(
        {
            "order_id": order_id,
            "ordered_on": dates(paid.day),
            "customer": customer,
            "currency": money.codes(paid.currency),
            "amount": money.money(paid.amount, paid.currency),
        }
    )
    target = pl.DataFrame(
        {
            "payment_id": texts.serials(draws, "PAY", rows),
            "order_ref": texts.noisy(draws, "reference noise", paid.reference(draws, order_id), paid.noise),
            "paid_on": dates(paid.posted_day, paid.dotted),
            "payer": texts.noisy(draws, "payer noise", paid.name(draws, customer), paid.noise),
            "currency": money.codes(paid.currency),
            "amount": money.money(paid.posted, paid.currency),
            "method": draws.pick("method", rows, _METHODS),
        }
    )
    return paid.made(source, target)
