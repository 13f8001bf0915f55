"""A stream as code at a running Recon Streams (`recon up`): deployed with a schedule, and run once now.

RECON_API_TOKEN=… python scheduled_stream.py
"""

from pathlib import Path

from recon import RuleSet, Step, Stream

DATA = Path(__file__).parent / "data"

by_order = Step(
    "orders vs payments",
    DATA / "orders.csv",
    DATA / "payments.csv",
    RuleSet.of("order_id=order", "amount=paid:0.01"),
    max_retries=2,
)
rest = Step(
    "the rest vs the bank",
    by_order.unmatched_source,
    DATA / "bank.csv",
    RuleSet.of("order_id=reference", "amount=credited:0.01"),
    severities={"MISSING_TARGET": "CRITICAL"},
)
settlement = Stream("Settlement as code", [by_order, rest], domain="ECOMMERCE")

if __name__ == "__main__":
    deployment = settlement.deploy(cron="0 30 6 * * MON-FRI", timezone="Europe/Berlin")
    print(f"stream {deployment.stream_id}; prefect deployment run '{deployment.prefect_deployment}'")
    result = deployment.run()
    print(result)
    print(result.steps["the rest vs the bank"].unmatched_source["order_id"].to_list())
