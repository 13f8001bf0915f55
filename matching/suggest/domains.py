"""Which business a table is about, told by its words."""

from __future__ import annotations

import re
from collections.abc import Iterable

GENERAL = "GENERAL"
"""Where the words don't tell."""

UNKNOWN = 0.5
"""The confidence of GENERAL."""

_WORDS = {
    "BANKING": """
        account acct balance bank bic branch camt cheque check credit creditor debit debtor deposit iban ledger loan mt940 nostro
        overdraft posting statement swift teller transfer value_date vostro withdrawal
    """,
    "TRADING": """
        bond broker buy commission counterparty coupon custodian cusip dividend equity exchange execution figi fill fund future
        instrument isin maturity option portfolio position price_per_share security sedol sell settle share stock strike symbol
        ticker trade trader venue
    """,
    "ACCOUNTS_PAYABLE": """
        accrual ap bill billing due_date grn invoice payable payables payment_terms po purchase_order remittance supplier tax_code
        vat vendor voucher
    """,
    "INVENTORY": """
        batch bin bin_location count goods inventory item_code location lot on_hand pallet picking quantity receipt reorder sku
        stock stocktake uom unit_of_measure units warehouse
    """,
    "INTERCOMPANY": """
        affiliate consolidation counterpart_entity due_from due_to elimination entity group_company interco intercompany
        intragroup legal_entity parent subsidiary transfer_price
    """,
    "ECOMMERCE": """
        basket buyer capture captured cart checkout courier customer delivery fulfilment fulfillment gateway listing marketplace
        merchant order order_item order_line order_status payment_type payout psp refund seller shipment shipped shipping shop sku
        storefront
    """,
    "TECHNICAL": """
        api application checksum cluster commit cpu database endpoint environment event_id host hostname http ip latency log memory
        namespace pod request request_id response server service session_id span status_code timestamp_ms trace_id user_agent
        uuid version
    """,
}

_VOCABULARY = {domain: frozenset(words.split()) for domain, words in _WORDS.items()}

_TELLING = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+[0-9]*")


def detect_domain(texts: Iterable[str]) -> tuple[str, float]:
    """The domain that most of the words in the texts belong to, and how sure that is (0 to 1); GENERAL where nothing tells.

    Texts are file names, column names or sentences; each word and each pair of neighbours counts once. A word that several
    domains have counts for each, by its share.
    """
    said: set[str] = set()
    for text in texts:
        words = [one.lower() for one in _TELLING.findall(text)]
        words = [one for word in words for one in (word, word.removesuffix("s"))]
        said.update(words, ("_".join(pair) for pair in zip(words[::2], words[2::2], strict=False)))
    scores = dict.fromkeys(_VOCABULARY, 0.0)
    for word in said:
        having = [domain for domain, vocabulary in _VOCABULARY.items() if word in vocabulary]
        for domain in having:
            scores[domain] += 1 / len(having)
    first, second = sorted(scores.items(), key=lambda one: (-one[1], one[0]))[:2]
    if first[1] < 1 or first[1] == second[1]:
        return GENERAL, UNKNOWN
    # Two words of one domain, and few of another, are needed to be surer than not.
    return first[0], round(min(0.95, first[1] / (first[1] + second[1] + 1)), 2)
