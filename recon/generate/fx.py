"""Payments in several currencies against a ledger in euros, with the dated rates between them."""

from __future__ import annotations

import polars as pl

from recon.generate import money, texts
from recon.generate.days import BUSINESS_DAYS, dates
from recon.generate.draws import Draws, Ints
from recon.generate.flows import flow
from recon.generate.knobs import Knobs
from recon.generate.records import Made


def make(rows: int, knobs: Knobs, draws: Draws) -> Made:
    """Source: `payment_ref`, `value_date` (business days), `beneficiary`, `currency`, `amount`. Target: `entry_no`, `reference`,
    `posted_on`, `description`, `currency` (EUR), `amount`. Table `rates`: `date` (business days), `from_currency`,
    `to_currency` (EUR), `rate` (eight decimals).

    The amount in euros is that of the payment times the rate of its value date, however late it is posted, rounded half up.
    """
    walk, rates = money.rate_table(draws, knobs.currencies, BUSINESS_DAYS)

    def euros(amount: Ints, currency: Ints, day: Ints) -> Ints:
        return money.converted(amount, currency, walk[day, currency])

    payment = flow(rows, knobs, draws, business_days=True, convert=euros)
    reference = texts.references(draws, rows, "FX-00")
    beneficiary = texts.companies(draws, "beneficiary", rows)
    source = pl.DataFrame(
        {
            "payment_ref": reference,
            "value_date": dates(payment.day),
            "beneficiary": beneficiary,
            "currency": money.codes(payment.currency),
            "amount": money.money(payment.amount, payment.currency),
        }
    )
    target = pl.DataFrame(
        {
            "entry_no": texts.serials(draws, "GL", rows),
            "reference": texts.noisy(draws, "reference noise", payment.reference(draws, reference), payment.noise),
            "posted_on": dates(payment.posted_day, payment.dotted),
            "description": texts.noisy(draws, "name noise", payment.name(draws, beneficiary), payment.noise),
            "currency": money.codes(payment.posted_currency),
            "amount": money.money(payment.posted, payment.posted_currency),
        }
    )
    return payment.made(source, target, (payment.currency > 0, "FX"), rates=rates)
