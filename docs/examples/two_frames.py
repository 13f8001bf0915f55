"""Two frames, no server: which orders were paid, and where do the two sides differ?

python two_frames.py
"""

from pathlib import Path

import polars as pl

from recon import RuleSet, Step, Stream

DATA = Path(__file__).parent / "data"

orders = pl.read_csv(DATA / "orders.csv")
payments = pl.read_csv(DATA / "payments.csv")

rules = RuleSet.of("order_id=order", ["amount=paid:0.01", "ordered=booked:1d"])
result = Stream("Orders", [Step("orders vs payments", orders, payments, rules)]).run()

print(result)
step = result.steps["orders vs payments"]
print(step.exceptions.select("type", "severity", "key", "field", "source_value", "target_value", "delta"))
print(step.unmatched_source)
result.write("result")
