"""A Prefect flow of one's own, with `reconcile` as its task; the second match takes what the first one left.

python own_flow.py, or `prefect --no-prompt deploy --all` in the project's folder, which deploys it with a schedule.
"""

from pathlib import Path

from prefect import flow

from recon import Input, RuleSet, reconcile

DATA = Path(__file__).parent / "data"


@flow(name="settle-orders", log_prints=True)
def settle(out: str = "result") -> int:
    """How many orders nobody paid. `out` is a directory or an fsspec URL for the artifacts."""
    paid = reconcile(
        DATA / "orders.csv",
        DATA / "payments.csv",
        RuleSet.of("order_id=order", "amount=paid:0.01"),
        name="orders vs payments",
        out=f"{out}/payments",
    )
    print(paid)
    credited = reconcile(
        paid.unmatched_source,
        Input(DATA / "bank.csv", file_id=3),
        RuleSet.of("order_id=reference", "amount=credited:0.01"),
        name="the rest vs the bank",
        out=f"{out}/bank",
    )
    print(credited)
    return credited.unmatched_source.height


if __name__ == "__main__":
    settle()
