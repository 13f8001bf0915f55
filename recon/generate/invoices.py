"""Invoices against payments, by order: instalments, several invoices paid at once, and both."""

from __future__ import annotations

import numpy as np
import polars as pl

from recon.generate import money, texts
from recon.generate.days import DAYS, dates, late, on_or_after, soon
from recon.generate.draws import Draws, Ints
from recon.generate.knobs import Knobs
from recon.generate.pairs import amount_and_day, kinds, near, presence
from recon.generate.records import Made, Side, links


def make(rows: int, knobs: Knobs, draws: Draws) -> Made:
    """Source: `invoice_id`, `order_id`, `customer`, `issued_on`, `currency`, `amount`. Target: `payment_id`, `order_ref`, `payer`,
    `paid_on`, `currency`, `amount`.

    `rows` counts orders. The invoices of an order and its payments settle each other by sum. A link says that a part of the
    invoice is paid by the payment: each payment pays the order's invoices in turn. What is refunded was paid too much before.
    """
    known = presence(draws, rows, knobs)
    both = known.both
    currency = draws.below("currency", rows, knobs.currencies)
    total = money.amounts(draws, "amount", currency, median=20_000, least=4_000)
    day = draws.below("day", rows, DAYS)
    split, batched = (draws.struck(name, rows, getattr(knobs, name)) for name in ("splits", "batches"))
    invoices = np.where(batched, draws.between("invoices", rows, 2, 6), 1)
    instalments = np.where(split, draws.between("instalments", rows, 2, 4), 1)
    wrong = both & draws.struck("mismatch", rows, knobs.mismatch)
    charged = both & ~wrong & draws.struck("fees", rows, knobs.fees)
    off = both & ~wrong & ~charged & draws.struck("rounding", rows, knobs.rounding)
    refunded = both & draws.struck("refunds", rows, knobs.refunds)
    fee = money.minor_units(draws.between("fee", rows, 1, 6) * 25, currency)
    back = money.minor_units(draws.between("refund", rows, 100, 3_000), currency)
    posted_late = both & draws.struck("late", rows, knobs.late)
    lagged = both & draws.struck("lag", rows, knobs.lag)
    paid_on = late(draws, soon(draws, day, lagged), posted_late)

    invoice_of, invoice_start, invoice_amount = _cut(draws, "invoice", total, invoices)
    payment_of, payment_start, payment_amount = _cut(draws, "payment", total, instalments)
    last = np.cumsum(instalments) - 1
    change = wrong * money.mistake(draws, payment_amount[last]) - charged * fee
    change += off * money.one_off(draws, "rounding", rows) + refunded * back
    payment_amount[last] += change
    # The refunds follow the payments; instalments are a fortnight apart.
    order = np.concatenate([payment_of, np.flatnonzero(refunded)])
    amount = np.concatenate([payment_amount, -back[refunded]])
    nth = np.concatenate([np.arange(len(payment_of)) - (last - instalments + 1)[payment_of], instalments[refunded]])
    when = np.where(nth > 0, on_or_after(paid_on[order] + 14 * nth), paid_on[order])

    typo = both & draws.struck("typos", rows, knobs.typos)
    alone = ~(split | batched | refunded | charged)
    invoiced = amount_and_day(currency[invoice_of], invoice_amount, day[invoice_of])
    paid = amount_and_day(currency[order], amount, when)
    vague = near(amount_and_day(currency, total, day), paid[known.target[order]]) > 1
    vague |= near(paid[last], invoiced[known.source[invoice_of]]) > 1
    in_reference = typo & alone & ~wrong & ~posted_late & ~vague
    short = both & ~in_reference & draws.struck("truncated", rows, knobs.truncated)
    noise = known.target & draws.struck("noise", rows, knobs.noise)
    dotted = known.target & draws.struck("formats", rows, knobs.formats)
    order_id, customer = texts.references(draws, rows, "SO-00"), texts.companies(draws, "customer", rows)
    reference = texts.truncated(texts.misspelt(draws, "reference typo", order_id, in_reference), short)
    payer = texts.misspelt(draws, "payer typo", customer, typo & ~in_reference)

    source = Side(
        pl.DataFrame(
            {
                "invoice_id": texts.serials(draws, "INV", len(invoice_of)),
                "order_id": order_id.gather(invoice_of),
                "customer": customer.gather(invoice_of),
                "issued_on": dates(day[invoice_of]),
                "currency": money.codes(currency[invoice_of]),
                "amount": money.money(invoice_amount, currency[invoice_of]),
            }
        ),
        np.arange(len(invoice_of), dtype=np.int64),
        day[invoice_of],
        invoice_amount,
        currency[invoice_of],
    )
    target = Side(
        pl.DataFrame(
            {
                "payment_id": texts.serials(draws, "PAY", len(order)),
                "order_ref": texts.noisy(draws, "reference noise", reference, noise).gather(order),
                "payer": texts.noisy(draws, "payer noise", payer, noise).gather(order),
                "paid_on": dates(when, dotted[order]),
                "currency": money.codes(currency[order]),
                "amount": money.money(amount, currency[order]),
            }
        ),
        np.arange(len(order), dtype=np.int64),
        when,
        amount,
        currency[order],
    )

    kind = kinds(
        rows,
        (wrong, "MISMATCH"),
        (charged, "FEE"),
        (typo, "TYPO"),
        (short, "TRUNCATED"),
        (posted_late, "LATE"),
        (off, "ROUNDING"),
        (split & batched, "MANY_TO_MANY"),
        (split, "SPLIT"),
        (batched, "BATCH"),
        (paid_on != day, "DATE"),
        (noise, "NOISE"),
        (dotted, "FORMAT"),
    )
    twice = known.source_twice | known.target_twice
    group = np.where(twice | split | batched | refunded, np.arange(rows), -1)
    in_order = np.sort(np.concatenate([invoice_start, payment_start]))
    starts = in_order[np.diff(in_order, prepend=-1) > 0]
    part_of = np.searchsorted(invoice_start, starts, "right") - 1
    paid_by = np.searchsorted(payment_start, starts, "right") - 1
    owner = invoice_of[part_of]
    settled = both[owner]
    refunds = np.flatnonzero(refunded)
    last_invoice = np.cumsum(invoices) - 1
    source_twin = np.flatnonzero(known.source_twice[invoice_of] & (np.diff(invoice_of, prepend=-1) > 0))
    target_twin = last[known.target_twice]
    truth = pl.concat(
        [
            links(part_of[settled], paid_by[settled], group[owner[settled]], kind.gather(owner[settled])),
            links(last_invoice[refunds], len(payment_of) + np.arange(len(refunds)), refunds, "REFUND"),
            links(np.flatnonzero(~known.target[invoice_of]), None, None, "MISSING_TARGET"),
            links(None, np.flatnonzero(~known.source[order]), None, "MISSING_SOURCE"),
            links(source_twin + len(invoice_of), None, invoice_of[source_twin], "DUPLICATE"),
            links(None, target_twin + len(order), order[target_twin], "DUPLICATE"),
        ]
    )
    on_source, on_target = known.source[invoice_of], known.target[order]
    doubled, paid_twice = np.zeros(len(invoice_of), np.bool_), np.zeros(len(order), np.bool_)
    doubled[source_twin], paid_twice[target_twin] = True, True
    faults = {
        "typos": typo,
        "noise": noise,
        "truncated": short,
        "formats": dotted,
        "lag": both & (paid_on != day) & ~posted_late,
        "late": posted_late,
        "missing": ~both,
        "duplicates": twice,
        "rounding": off,
        "mismatch": wrong,
        "refunds": refunded,
        "fees": charged,
        "splits": split,
        "batches": batched,
    }
    return Made(
        source.only(on_source).with_doubles(doubled[on_source], len(invoice_of)),
        target.only(on_target).with_doubles(paid_twice[on_target], len(order)),
        truth,
        {name: int(flags.sum()) for name, flags in faults.items()},
        settled=True,
    )


def _cut(draws: Draws, name: str, total: Ints, parts: Ints) -> tuple[Ints, Ints, Ints]:
    """Each total in so many parts: whose part it is, where it starts on the line of all totals, and its amount.

    The largest part of an order is at most five times its smallest, but for rounding.
    """
    owner = np.repeat(np.arange(len(total), dtype=np.int64), parts)
    weight = draws.between(f"{name} part", len(owner), 20, 100)
    last = np.cumsum(parts) - 1
    running = np.cumsum(weight)
    sums = np.diff(running[last], prepend=0)
    end = total[owner] * (running - (running[last] - sums)[owner]) // sums[owner]
    start = np.where(np.diff(owner, prepend=-1) > 0, 0, np.concatenate([[0], end[:-1]]))
    return owner, start + (np.cumsum(total) - total)[owner], end - start
