"""A small bank's random life: what its database committed, transaction by transaction.

It stands left of wire.py, which turns a life into Kafka records. Unlike the engine's own bank it
looks for trouble: keys that come back, keys that move, rows that live within one transaction,
changes that undo themselves, texts full of separators, and a clock that stands still or steps back.
It must never know how the engine works.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
BEGAN_US = 1_750_000_000_000_000
TABLES = ("customers", "accounts", "transactions")
NAMES = ("Ada", "O|Brien", "back\\slash", "Žofie", "李", "a\\|b", "", "\\N", "tab\there", "Bo")
TYPES = ("DEPOSIT", "WITHDRAWAL", "TRANSFER")


def iso(micros: int) -> str:
    """An instant as Debezium's ZonedTimestamp writes it."""
    return (EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True)
class Event:
    """One row change: op is c, u, d; a row is a dict as Debezium would write it."""

    table: str
    op: str
    key: int
    before: dict | None
    after: dict | None
    moved_from: int | None = None
    moved_to: int | None = None


@dataclass
class Committed:
    """One source transaction."""

    tx_id: int
    commit_us: int
    events: list[Event] = field(default_factory=list)


class Bank:
    """Rows by table and key, and the transactions that made them from `initial` on."""

    def __init__(self, seed: int, steady_clock: bool = False) -> None:
        self.rng = random.Random(seed)
        self.steady_clock = steady_clock
        self.rows = {table: {} for table in TABLES}
        self.next_id = dict.fromkeys(TABLES, 1)
        self.deleted = {table: [] for table in TABLES}
        self.now_us = BEGAN_US
        self.tx = Committed(tx_id=800, commit_us=BEGAN_US)
        for _ in range(12):
            self.open_customer()
        for _ in range(30):
            self.move_money()
        self.initial = {table: dict(rows) for table, rows in self.rows.items()}
        self.read_us = BEGAN_US
        self.history: list[Committed] = []

    def live(self, transactions: int) -> "Bank":
        """Commits so many more transactions, each with at least one event."""
        acts = {
            self.move_money: 40, self.rename: 12, self.settle: 10, self.open_customer: 8,
            self.rename_and_back: 4, self.close_account: 5, self.leave: 3, self.come_back: 6,
            self.pass_through: 3, self.replace: 4, self.move_key: 4, self.new_owner: 4,
        }
        for _ in range(transactions):
            self.tick()
            self.tx = Committed(801 + len(self.history), self.now_us)
            while not self.tx.events:
                for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
                    self.rng.choices(list(acts), weights=list(acts.values()))[0]()
            self.history.append(self.tx)
        return self

    def tick(self) -> None:
        step = self.rng.randint(1, 2_000_000_000)
        if not self.steady_clock and self.rng.random() < 0.1:
            step = self.rng.choice((0, 0, -self.rng.randint(1, 3_000_000_000)))
        self.now_us += step

    # What the database does.

    def insert(self, table: str, row: dict, moved_from: int | None = None) -> None:
        self.rows[table][row["id"]] = row
        self.tx.events.append(Event(table, "c", row["id"], None, row, moved_from=moved_from))

    def update(self, table: str, key: int, **changed) -> None:
        after = {**self.rows[table][key], **changed}
        self.rows[table][key] = after
        self.tx.events.append(Event(table, "u", key, None, after))

    def delete(self, table: str, key: int, moved_to: int | None = None) -> None:
        row = self.rows[table].pop(key)
        # REPLICA IDENTITY DEFAULT: of the row before, only the key is true.
        bare = {name: (key if name == "id" else None) for name in row}
        self.tx.events.append(Event(table, "d", key, bare, None, moved_to=moved_to))
        if moved_to is None:
            self.deleted[table].append(row)

    def new_id(self, table: str) -> int:
        self.next_id[table] += 1
        return self.next_id[table] - 1

    def any(self, table: str) -> int | None:
        return self.rng.choice(sorted(self.rows[table])) if self.rows[table] else None

    # What people do.

    def customer(self, key: int) -> dict:
        first, last = self.rng.choice(NAMES), self.rng.choice(NAMES)
        return {"id": key, "first_name": first, "last_name": last,
                "email": f"{key}.{self.rng.randint(0, 10**6)}@example.net",
                "created_at": iso(self.now_us - self.rng.randint(0, 10**14))}

    def open_customer(self) -> None:
        key = self.new_id("customers")
        self.insert("customers", self.customer(key))
        for _ in range(self.rng.randint(0, 2)):
            self.insert("accounts", {
                "id": self.new_id("accounts"), "customer_id": key,
                "account_type": self.rng.choice(("CHECKING", "SAVINGS")),
                "balance": str(Decimal(self.rng.randint(0, 5_000_000)) / 100),
                "currency": "EUR", "created_at": iso(self.now_us)})

    def post(self, account: int, kind: str, cents: int, sign: int, other: int | None) -> None:
        balance = Decimal(self.rows["accounts"][account]["balance"])
        changed = balance + sign * Decimal(cents) / 100
        self.update("accounts", account, balance=f"{changed:.2f}")
        status = self.rng.choice(("PENDING", "COMPLETED"))
        late = self.rng.choice((0, 0, self.rng.randint(0, 10**12)))
        self.insert("transactions", {
            "id": self.new_id("transactions"), "account_id": account, "txn_type": kind,
            "amount": f"{Decimal(cents) / 100:.2f}", "related_account_id": other,
            "status": status, "created_at": iso(self.now_us - late)})

    def move_money(self) -> None:
        account = self.any("accounts")
        if account is None:
            return
        balance = Decimal(self.rows["accounts"][account]["balance"])
        kind = self.rng.choice(TYPES)
        cents = self.rng.choice((self.rng.randint(1, 99_999), self.rng.randint(900_000, 1_100_000)))
        other = self.any("accounts")
        if kind == "DEPOSIT" or balance < Decimal(cents) / 100:
            self.post(account, "DEPOSIT", cents, 1, None)
        elif kind == "WITHDRAWAL" or other == account:
            self.post(account, "WITHDRAWAL", cents, -1, None)
        else:
            self.post(account, kind, cents, -1, other)
            self.post(other, kind, cents, 1, account)

    def rename(self) -> None:
        if (key := self.any("customers")) is not None:
            row = self.customer(key)
            what = self.rng.choice(("first_name", "last_name", "email"))
            self.update("customers", key, **{what: row[what]})

    def rename_and_back(self) -> None:
        """Two updates of one transaction whose end is where it began: never visible."""
        if (key := self.any("customers")) is not None:
            name = self.rows["customers"][key]["first_name"]
            self.update("customers", key, first_name=name + "?")
            self.update("customers", key, first_name=name)

    def new_owner(self) -> None:
        account, owner = self.any("accounts"), self.any("customers")
        if account is not None and owner is not None:
            self.update("accounts", account, customer_id=owner)

    def settle(self) -> None:
        if (key := self.any("transactions")) is not None:
            status = self.rng.choice(("COMPLETED", "FAILED", "REVERSED"))
            self.update("transactions", key, status=status)

    def close_account(self) -> None:
        if (account := self.any("accounts")) is not None:
            for key, row in sorted(self.rows["transactions"].items()):
                if row["account_id"] == account:
                    self.delete("transactions", key)
            self.delete("accounts", account)

    def leave(self) -> None:
        customer = self.any("customers")
        if customer is None:
            return
        owned = [k for k, a in self.rows["accounts"].items() if a["customer_id"] == customer]
        for account in owned:
            for key, row in sorted(self.rows["transactions"].items()):
                if row["account_id"] == account:
                    self.delete("transactions", key)
            self.delete("accounts", account)
        self.delete("customers", customer)

    def come_back(self) -> None:
        """A deleted customer's key is used again, perhaps with the very same row."""
        if self.deleted["customers"]:
            row = self.deleted["customers"].pop(self.rng.randrange(len(self.deleted["customers"])))
            again = row if self.rng.random() < 0.5 else self.customer(row["id"])
            if row["id"] not in self.rows["customers"]:
                self.insert("customers", again)

    def pass_through(self) -> None:
        """A row that lives within one transaction."""
        key = self.new_id("customers")
        self.insert("customers", self.customer(key))
        self.delete("customers", key)

    def replace(self) -> None:
        """Deleted and inserted anew under the same key by one transaction."""
        if (key := self.any("customers")) is not None and not self.owns(key):
            row = self.customer(key) if self.rng.random() < 0.7 else self.rows["customers"][key]
            self.delete("customers", key)
            self.deleted["customers"].pop()
            self.insert("customers", row)

    def move_key(self) -> None:
        """An update of the primary key: Debezium's delete of the old, create of the new."""
        if (key := self.any("customers")) is not None and not self.owns(key):
            new, row = self.new_id("customers"), self.rows["customers"][key]
            self.delete("customers", key, moved_to=new)
            self.insert("customers", {**row, "id": new}, moved_from=key)

    def owns(self, customer: int) -> bool:
        return any(a["customer_id"] == customer for a in self.rows["accounts"].values())

    def kinds(self) -> Counter:
        """Events by table and op: a history that lacks one proves less than it seems."""
        return Counter((e.table, e.op) for tx in self.history for e in tx.events)
