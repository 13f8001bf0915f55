"""A gateway's transactions against the credits of a bank: one credit is the sum of a payout, and says nothing of its parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from recon.generate import money, texts
from recon.generate.days import DAYS, dates, on_or_after
from recon.generate.draws import Draws, Flags, Ints
from recon.generate.knobs import Knobs
from recon.generate.pairs import kinds
from recon.generate.records import Made, Side, links
from recon.generate.schedule import Schedule, mishaps, schedule

GATEWAY = "PAYHUB"


@dataclass(frozen=True)
class _Transactions:
    """By payout; `order` is the transaction whose order it is about, itself but for refunds and chargebacks."""

    payout: Ints
    order: Ints
    currency: Ints
    gross: Ints
    fee: Ints
    refund: Flags
    chargeback: Flags
    created: Ints

    @property
    def net(self) -> Ints:
        return self.gross - self.fee


def make(rows: int, knobs: Knobs, draws: Draws) -> Made:
    """Source: `transaction_id`, `order_id`, `type` (CHARGE, REFUND, CHARGEBACK), `created_on`, `available_on`, `gateway`,
    `account`, `currency`, `gross`, `fee`, `net`. Target: `credit_id`, `account`, `value_date`, `currency`, `amount`,
    `counterparty`, `text`.

    A credit is the sum of `net` over what became available to an account on a day, less what its bank kept. Transfers by
    others than the gateway are credits without a partner.
    """
    plan = schedule(rows, knobs, draws)
    happened = mishaps(plan, knobs, draws)
    due = _transactions(plan, knobs, draws)
    count = len(plan.size)
    held = _first_distinct(due, happened.holding[due.payout], due.payout - happened.rest[due.payout])
    paid_by = due.payout + held
    kept = happened.charged * money.minor_units(draws.between("bank fee", count, 1, 4) * 25, plan.currency)
    amount = _sums(due.net, paid_by, count) - kept
    doubled = draws.struck("doubled transaction", rows, knobs.duplicates / 2) & happened.none[due.payout]
    doubled = _first_distinct(due, doubled, due.payout)

    stray = draws.struck("stray credit", count, knobs.missing / 2)
    typo = draws.struck("typos", count, knobs.typos)
    noise = draws.struck("noise", count, knobs.noise)
    dotted = draws.struck("formats", count, knobs.formats)

    source = _source(due, plan, draws)
    accounts = texts.serials(draws, "ACC", count).gather(plan.merchant)
    merchants = texts.companies(draws, "merchant", count).gather(plan.merchant)
    text = GATEWAY + " PAYOUT " + texts.misspelt(draws, "merchant typo", merchants, typo)
    payers = texts.people(draws, "payer", count)
    reasons = draws.pick("reason", count, ("Rent", "Thank you", "Refund of deposit", "Invoice", "Transfer"))
    # First the payouts, then as many transfers by others, of which some are kept.
    currency = np.concatenate([plan.currency, plan.currency])
    amounts = np.concatenate([amount, money.amounts(draws, "stray amount", plan.currency, median=30_000)])
    days = np.concatenate([happened.value_day, on_or_after(draws.below("stray day", count, DAYS))])
    gateway = pl.Series([GATEWAY]).gather(np.zeros(count, np.int64))
    target = Side(
        pl.DataFrame(
            {
                "credit_id": texts.serials(draws, "CR", 2 * count),
                "account": pl.concat([texts.noisy(draws, "account noise", accounts, noise), accounts]),
                "value_date": dates(days, np.concatenate([dotted, dotted])),
                "currency": money.codes(currency),
                "amount": money.money(amounts, currency),
                "counterparty": pl.concat([texts.noisy(draws, "gateway noise", gateway, noise), payers]),
                "text": pl.concat([texts.noisy(draws, "text noise", text, noise), reasons]),
            }
        ),
        np.arange(2 * count, dtype=np.int64),
        days,
        amounts,
        currency,
    )
    kind = kinds(
        rows,
        (held, "LATE"),
        (due.chargeback, "CHARGEBACK"),
        (due.refund, "REFUND"),
        (happened.charged[due.payout], "FEE"),
        (happened.late[due.payout], "LATE"),
        (plan.size[due.payout] > 1, "BATCH"),
        (typo[due.payout], "TYPO"),
        (noise[due.payout], "NOISE"),
        (dotted[due.payout], "FORMAT"),
    )
    lost = happened.lost[paid_by]
    twin, twice, strays = (np.flatnonzero(one) for one in (doubled, happened.credited_twice, stray))
    several = np.bincount(paid_by, minlength=count) > 1
    several[paid_by[twin]] = True
    several[twice] = True
    record = np.arange(rows, dtype=np.int64)
    truth = pl.concat(
        [
            links(
                record[~lost],
                paid_by[~lost],
                np.where(several[paid_by], paid_by, -1)[~lost],
                kind.filter(pl.Series(~lost)),
            ),
            links(record[lost], None, None, "MISSING_TARGET"),
            links(None, count + strays, None, "MISSING_SOURCE"),
            links(rows + twin, None, paid_by[twin], "DUPLICATE"),
            links(None, 2 * count + twice, twice, "DUPLICATE"),
        ]
    )
    known = np.concatenate([~happened.lost, stray])
    again = np.concatenate([happened.credited_twice, np.zeros(count, np.bool_)])[known]
    faults = {
        "typos": typo & ~happened.lost,
        "noise": noise & ~happened.lost,
        "formats": dotted & ~happened.lost,
        "late": happened.late,
        "missing": np.concatenate([lost, stray]),
        "duplicates": np.concatenate([doubled, happened.credited_twice]),
        "refunds": due.refund,
        "chargebacks": due.chargeback,
        "fees": happened.charged,
        "held": held,
    }
    return Made(
        source.with_doubles(doubled, rows),
        target.only(known).with_doubles(again, 2 * count),
        truth,
        {name: int(flags.sum()) for name, flags in faults.items()},
        settled=True,
    )


def _transactions(plan: Schedule, knobs: Knobs, draws: Draws) -> _Transactions:
    payout = np.repeat(np.arange(len(plan.size)), plan.size)
    rows = len(payout)
    merchant, currency = plan.merchant[payout], plan.currency[payout]
    disputed = draws.struck("chargebacks", rows, knobs.chargebacks)
    back = disputed | draws.struck("refunds", rows, knobs.refunds)
    # Money goes back for the sale just before, of the same merchant.
    back &= np.append(False, (merchant[1:] == merchant[:-1]) & ~back[:-1])
    refund, chargeback = back & ~disputed, back & disputed
    sale = money.amounts(draws, "gross", currency)
    before = np.concatenate([sale[:1], sale[:-1]])
    whole = chargeback | draws.struck("refunded in full", rows, 0.6)
    share = np.where(whole, 10_000, draws.between("refunded part", rows, 5_000, 9_000))
    returned = money.percentage(before, share)
    rate = draws.between("fee rate", len(plan.size), 140, 290)[merchant]
    quarter = money.minor_units(np.full(rows, 25), currency)
    dispute = money.minor_units(np.full(rows, 1_500), currency)
    fee = np.where(back, chargeback * dispute, money.percentage(sale, rate) + quarter)
    place = np.arange(rows)
    ago = np.where(plan.weekly[payout], draws.between("days before", rows, 2, 8), draws.between("days", rows, 2, 3))
    return _Transactions(
        payout=payout,
        order=place - back,
        currency=currency,
        gross=np.where(back, -returned, sale),
        fee=fee,
        refund=refund,
        chargeback=chargeback,
        created=np.maximum(plan.day[payout] - ago, 0),
    )


def _source(due: _Transactions, plan: Schedule, draws: Draws) -> Side:
    rows = len(due.payout)
    types = pl.Series(["CHARGE", "REFUND", "CHARGEBACK"]).gather(due.refund + 2 * due.chargeback)
    accounts = texts.serials(draws, "ACC", len(plan.size)).gather(plan.merchant)
    columns = pl.DataFrame(
        {
            "transaction_id": texts.serials(draws, "TX", rows),
            "order_id": texts.references(draws, rows, "ORD-00").gather(due.order),
            "type": types,
            "created_on": dates(due.created),
            "available_on": dates(plan.day[due.payout]),
            "gateway": pl.Series([GATEWAY]).gather(np.zeros(rows, np.int64)),
            "account": accounts.gather(due.payout),
            "currency": money.codes(due.currency),
            "gross": money.money(due.gross, due.currency),
            "fee": money.money(due.fee, due.currency),
            "net": money.money(due.net, due.currency),
        }
    )
    return Side(columns, np.arange(rows, dtype=np.int64), due.created, due.net, due.currency)


def _first_distinct(due: _Transactions, wanted: Flags, pool: Ints) -> Flags:
    """The first sale of each payout that is `wanted` and whose net amount no other transaction of the pool has, either sign."""
    frame = pl.DataFrame(
        {"pool": pool, "payout": due.payout, "net": abs(due.net), "sale": wanted & ~(due.refund | due.chargeback)}
    )
    alone = frame.select(pl.col("sale") & (pl.len().over("pool", "net") == 1)).to_series().to_numpy()
    place = np.flatnonzero(alone)
    first = place[np.diff(due.payout[place], prepend=-1) > 0]
    chosen = np.zeros(len(due.payout), np.bool_)
    chosen[first] = True
    return chosen


def _sums(amount: Ints, place: Ints, count: int) -> Ints:
    sums = np.zeros(count, np.int64)
    np.add.at(sums, place, amount)
    return sums
