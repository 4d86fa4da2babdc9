"""The bank's books: what its tables held after each source transaction, by the records alone.

Transactions count in the order of their first END, which is commit order. It must never look at a
lake: it says what the lake may show.
"""

import json
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from .life import TABLES
from .wire import TRANSACTION_TOPIC


class Books:
    """The initial rows and every transaction's events, once each."""

    def __init__(self, capture: Path) -> None:
        self.initial = {table: {} for table in TABLES}
        self.ends: list[int] = []
        self.events: dict[int, dict] = {}
        with capture.open() as lines:
            for line in lines:
                record = json.loads(line)
                self.take(record["topic"], json.loads(record["payload"]))

    def take(self, topic: str, payload: dict) -> None:
        if topic == TRANSACTION_TOPIC:
            tx_id = int(payload["id"].split(":")[0])
            if payload["status"] == "END" and tx_id not in self.ends:
                self.ends.append(tx_id)
            return
        table, source = topic.rsplit(".", 1)[1], payload["source"]
        row = payload["after"] or payload["before"]
        if payload["op"] == "r":
            self.initial[table][row["id"]] = payload["after"]
            return
        # An event's place in the log is its own: what is sent again has the same.
        event = (table, payload["op"], row["id"], payload["after"])
        self.events.setdefault(source["txId"], {})[source["lsn"], row["id"], table] = event

    @cached_property
    def states(self) -> list[dict]:
        """All rows after 0, 1, 2, .. transactions."""
        rows = {table: dict(self.initial[table]) for table in TABLES}
        states = [{table: dict(rows[table]) for table in TABLES}]
        for tx_id in self.ends:
            for place in sorted(self.events[tx_id]):
                table, op, key, after = self.events[tx_id][place]
                rows[table].pop(key, None)
                if op != "d":
                    rows[table][key] = after
            states.append({table: dict(rows[table]) for table in TABLES})
        return states

    @cached_property
    def sums(self) -> list[Decimal]:
        """The sum of all balances after 0, 1, 2, .. transactions."""
        return [sum((Decimal(a["balance"]) for a in state["accounts"].values()), Decimal(0))
                for state in self.states]
