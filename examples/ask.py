"""Ask, wait for people, proceed: the whole contract in fifteen lines, which README.md shows word for word.

Run it beside the demo (`.venv/bin/python examples/ask.py`) and decide in the browser. Nothing real is refunded.
"""

import json
import pathlib
import uuid

import httpx

demo = json.loads(pathlib.Path("var/demo.json").read_text())
api, keys = demo["url"] + "/api/v1", demo["keys"]
agent, executor = ({"Authorization": f"Bearer {keys[who]}"} for who in ("agent", "executor"))
act = {"action": "refund.create", "resource": "order:1187", "parameters": {"amount_cents": 4200, "currency": "usd"}}
why = {"summary": "Refund $42.00 to order 1187", "rationale": "Parcel lost in transit; the carrier confirmed it."}
once = {"Idempotency-Key": str(uuid.uuid4())}  # sent again after a lost answer, this files nothing twice
filed = httpx.post(f"{api}/requests", json=act | why, headers=agent | once).raise_for_status().json()
while filed["status"] == "pending":  # ends when people have decided, or when nobody has by the deadline
    with httpx.stream("GET", f"{api}/requests/{filed['id']}/events", headers=agent, timeout=90) as stream:
        filed = [json.loads(line[6:]) for line in stream.raise_for_status().iter_lines() if line[:6] == "data: "][-1]
if filed["status"] != "approved":
    raise SystemExit(f"{filed['status']}: {filed['decision']['reason']} (again: {filed['decision']['retry']})")
licence = {**act, "parameters": filed["decision"]["parameters"], "grant": filed["grant"]}
httpx.post(f"{api}/grants/redeem", json=licence, headers=executor).raise_for_status()  # 200 once, then never again
print(f"Redeemed; now do exactly this: {licence['action']} {licence['parameters']}")
