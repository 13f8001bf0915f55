"""The REST API through the Client: upload, describe, run, download. curl does the same; see the README.

RECON_API_TOKEN=… python over_rest.py
"""

import os
from pathlib import Path

from recon import Client

DATA = Path(__file__).parent / "data"
URL = os.environ.get("RECON_API_URL", "http://127.0.0.1:8080")

with Client(URL, os.environ.get("RECON_API_TOKEN")) as client:
    orders = client.upload(DATA / "orders.csv")["id"]
    payments = client.upload(DATA / "payments.csv")["id"]
    key = {"sourceField": "order_id", "targetField": "order"}
    amount = {"sourceField": "amount", "targetField": "paid", "matchType": "RANGE", "tolerance": "0.01"}
    rules = client.create_rule_set({"name": "by order", "passes": [{"keys": [key], "comparisons": [amount]}]})
    step = {
        "stepOrder": 1,
        "name": "orders vs payments",
        "sourceInput": {"type": "FILE", "id": orders},
        "targetInput": {"type": "FILE", "id": payments},
        "ruleSetId": rules["id"],
    }
    stream = client.create_stream({"name": "Settlement over REST", "triggerType": "MANUAL", "steps": [step]})
    run = client.wait(client.start_run(stream["id"], {"requestedBy": "over_rest.py"}), seconds=300)
    print(run["status"], run["metrics"])
    for step_run in client.steps(run["id"]):
        for artifact in client.artifacts(step_run["id"]):
            checksum = client.download(artifact["downloadUrl"], Path(artifact["filename"]))
            print(artifact["filename"], artifact["rowCount"], checksum == artifact["checksum"])
