"""A life as captured Kafka records, with what a real chain does to them.

One JSON object a line, as `kcat -J` writes it: Debezium's bare envelopes of three tables in three
partitions each, and the transaction topic in one. A connector restart sends transactions again,
perhaps from the middle of one and after one that was cut short; a producer sends a partition's last
messages again. Lateness is left to the replay's interleaving. Messages of one partition are never
reordered and none is lost. It must never use the engine's own renderer: that would be no oracle.
"""

import json
import random
import zlib
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path

from .life import TABLES, Bank, Committed, Event

SERVER = "banking_server"
TRANSACTION_TOPIC = f"{SERVER}.transaction"
PARTITIONS = 3
FIRST_LSN = 1_000_000


@dataclass
class Stamped:
    """A transaction with its place in the database's log: a redelivery shows the same one."""

    tx: Committed
    lsns: list[int]
    end_lsn: int


class Wire:
    """Collects lines; `write` puts them into a file."""

    def __init__(self, bank: Bank, seed: int) -> None:
        self.bank = bank
        self.rng = random.Random(seed)
        self.lines: list[str] = []
        self.offsets: dict = defaultdict(int)
        self.tails: dict = defaultdict(lambda: deque(maxlen=4))
        self.lsn = FIRST_LSN
        self.previous_end: int | None = None
        self.restarts = self.repeats = 0

    def write(self, path: Path) -> Path:
        """The whole history, initial read first."""
        self.initial_read()
        recent: deque[Stamped] = deque(maxlen=6)
        for tx in self.bank.history:
            recent.append(self.stamp(tx))
            if self.rng.random() < 0.05:
                self.restart(recent)
            else:
                self.send(recent[-1], 0, len(tx.events))
            if self.rng.random() < 0.08:
                self.repeat()
        path.write_text("\n".join(self.lines) + "\n")
        return path

    def stamp(self, tx: Committed) -> Stamped:
        lsns = []
        for _ in tx.events:
            self.lsn += self.rng.randint(40, 400)
            lsns.append(self.lsn)
        self.lsn += 64
        return Stamped(tx, lsns, self.lsn)

    def initial_read(self) -> None:
        rows = [(t, key, row) for t in TABLES for key, row in self.bank.initial[t].items()]
        for place, (table, key, row) in enumerate(rows):
            mark = "first" if place == 0 else "last" if place + 1 == len(rows) else "true"
            source = self.source(table, 800, FIRST_LSN, self.bank.read_us, mark)
            self.event(table, key, {"before": None, "after": row, "source": source,
                                    "transaction": None, "op": "r"}, [])

    def restart(self, recent: deque) -> None:
        """The latest transaction is cut short; the connector goes back and sends all anew."""
        self.restarts += 1
        cut = self.rng.randrange(len(recent[-1].tx.events) + 1)
        self.send(recent[-1], 0, cut)
        back = self.rng.randrange(len(recent))
        first = recent[-1 - back]
        sent = cut if back == 0 else len(first.tx.events)
        skipped = self.rng.randrange(min(sent + 1, len(first.tx.events)))
        for stamped in list(recent)[len(recent) - 1 - back:]:
            count = len(stamped.tx.events)
            self.send(stamped, skipped if stamped is first else 0, count)

    def send(self, stamped: Stamped, start: int, stop: int) -> None:
        """BEGIN, events from `start` to before `stop`, and END if that is the last one."""
        tx, orders = stamped.tx, dict.fromkeys(TABLES, 0)
        first = stamped.lsns[start] if start < len(stamped.lsns) else stamped.end_lsn
        self.boundary("BEGIN", f"{tx.tx_id}:{first}", tx.commit_us, None)
        for place in range(start, stop):
            event, lsn = tx.events[place], stamped.lsns[place]
            orders[event.table] += 1
            transaction = {"id": f"{tx.tx_id}:{lsn}", "total_order": sum(orders.values()),
                           "data_collection_order": orders[event.table]}
            source = self.source(event.table, tx.tx_id, lsn, tx.commit_us, "false")
            self.event(event.table, event.key, {
                "before": event.before, "after": event.after, "source": source,
                "transaction": transaction, "op": event.op}, moved(event))
        if stop == len(tx.events):
            counts = {table: n for table, n in orders.items() if n}
            self.boundary("END", f"{tx.tx_id}:{stamped.end_lsn}", tx.commit_us, counts)
            self.previous_end = stamped.end_lsn

    def source(self, table: str, tx_id: int, lsn: int, commit_us: int, mark: str) -> dict:
        before = None if self.previous_end is None else str(self.previous_end)
        return {"version": "3.6.1.Final", "connector": "postgresql", "name": SERVER,
                "ts_ms": commit_us // 1000, "snapshot": mark, "db": "banking",
                "sequence": json.dumps([before, str(lsn)]), "ts_us": commit_us,
                "ts_ns": commit_us * 1000, "schema": "public", "table": table, "txId": tx_id,
                "lsn": lsn, "xmin": None}

    def event(self, table: str, key: int, payload: dict, headers: list[str]) -> None:
        text = compact({"id": key})
        partition = zlib.crc32(text.encode()) % PARTITIONS
        self.put(f"{SERVER}.public.{table}", partition, text, payload, headers)

    def boundary(self, status: str, name: str, commit_us: int, counts: dict | None) -> None:
        collections = counts and [{"data_collection": f"public.{table}", "event_count": n}
                                  for table, n in counts.items()]
        payload = {"status": status, "id": name, "data_collections": collections,
                   "event_count": None if counts is None else sum(counts.values()),
                   "ts_ms": commit_us // 1000}
        self.put(TRANSACTION_TOPIC, 0, json.dumps({"id": name}), payload, [])

    def repeat(self) -> None:
        """A producer sends the last messages of one partition again, in their order."""
        place = self.rng.choice(sorted(self.tails))
        self.repeats += 1
        for message in list(self.tails[place])[-self.rng.randint(1, 4):]:
            self.put(*place, *message)

    def put(self, topic: str, partition: int, key: str, payload: dict, headers: list) -> None:
        place = (topic, partition)
        self.tails[place].append((key, payload, headers))
        line = {"topic": topic, "partition": partition, "offset": self.offsets[place],
                "tstype": "create", "ts": 1_750_000_100_000, "key": key,
                "payload": compact(payload)}
        if headers:
            line["headers"] = headers
        self.offsets[place] += 1
        self.lines.append(json.dumps(line, ensure_ascii=False))


def compact(payload: dict) -> str:
    """JSON without blanks, as Debezium's converter writes it."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def moved(event: Event) -> list[str]:
    """The headers by which Debezium links both halves of a key change."""
    if event.moved_to is not None:
        return ["__debezium.newkey", json.dumps({"id": event.moved_to})]
    if event.moved_from is not None:
        return ["__debezium.oldkey", json.dumps({"id": event.moved_from})]
    return []
