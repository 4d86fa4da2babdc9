"""History by hand: what raw events say the snapshots and the current rows must be.

Written from the law alone (design: history is a fact): distinct events by identity, in the order of
first delivery; of each key the last image per transaction; a version wherever a watched column
changed; a delete closes. It must never read a model's table or share a line with the engine's fold.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

# Key, commit time, transaction, and the row that it left; none where it left none.
Event = tuple[str, datetime, int, dict | None]
BEGIN = datetime(1970, 1, 1)
SNAPSHOTS = {
    "customers": ("customer_id", ("first_name", "last_name", "email")),
    "accounts": ("account_id", ("customer_id", "account_type", "balance")),
}


def wall(text: str) -> datetime:
    """A ZonedTimestamp as its wall time in UTC."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=None)


def customer(row: dict) -> dict:
    return {"customer_id": str(row["id"]), "first_name": row["first_name"],
            "last_name": row["last_name"], "email": row["email"],
            "created_at": wall(row["created_at"])}


def account(row: dict) -> dict:
    return {"account_id": str(row["id"]), "customer_id": str(row["customer_id"]),
            "account_type": row["account_type"],
            "balance": Decimal(row["balance"]).quantize(Decimal("0.01")),
            "currency": row["currency"], "created_at": wall(row["created_at"])}


STAGED = {"customers": customer, "accounts": account}


def distinct(raw: list[dict]) -> list[dict]:
    """One table's events without what came again, in the order of first delivery."""
    seen, events = set(), []
    for event in sorted(raw, key=lambda e: e["seq"]):
        identity = (event["connector"], event["key"], event["tx_id"], event["lsn"], event["op"])
        if identity not in seen:
            seen.add(identity)
            events.append(event)
    return events


def images(raw: list[dict]) -> list[tuple[int, dict]]:
    """Key and last event of each key and transaction, per key in order."""
    last: dict = {}
    for event in distinct(raw):
        place = (json.loads(event["key"])["id"], event["tx_id"])
        last.pop(place, None)
        last[place] = event
    return [(key, event) for (key, _), event in last.items()]


def current(raw: list[dict]) -> dict[int, dict]:
    """The rows that live after these events, as their last image has them."""
    rows: dict = {}
    for key, event in images(raw):
        rows.pop(key, None)
        if event["op"] != "d":
            rows[key] = json.loads(event["after"])
    return rows


def micros(at: datetime) -> int:
    return (at - BEGIN) // timedelta(microseconds=1)


def versions(table: str, raw: list[dict]) -> list[dict]:
    """The snapshot of a table: its rows under dbt's column names."""
    events = ((str(key), event["commit_at"].replace(tzinfo=None), event["tx_id"],
               None if event["op"] == "d" else STAGED[table](json.loads(event["after"])))
              for key, event in images(raw))
    return folded(SNAPSHOTS[table][1], events)


def folded(watched: tuple[str, ...], events: Iterable[Event]) -> list[dict]:
    """The versions that come of these events, in their order."""
    opened: dict[str, dict] = {}
    reached: dict[str, datetime] = {}
    closed: list[dict] = []
    for key, commit, tx_id, row in events:
        # A key's time never runs backwards, whatever the source's clock did.
        at = max(commit, reached.get(key, commit))
        before = opened.get(key)
        if row and before and all(row[c] == before[c] for c in watched):
            continue
        if before:
            closed.append({**opened.pop(key), "dbt_valid_to": at})
            reached[key] = at
        if row:
            name = f"{key}|{micros(at)}|{tx_id}|false"
            opened[key] = {**row, "dbt_scd_id": hashlib.md5(name.encode()).hexdigest(),
                           "dbt_updated_at": commit, "dbt_valid_from": at, "dbt_valid_to": None}
            reached[key] = at
    return closed + list(opened.values())
