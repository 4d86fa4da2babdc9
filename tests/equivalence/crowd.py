"""A bank with many customers, and a capture of it that grows by one transaction after another.

It stands beside life.py, whose small bank never changes enough rows to make an engine choose.
A replay goes on where the one before ended, so that what was committed in between can be an epoch.
It must never know how the engine works.
"""

from collections.abc import Callable
from pathlib import Path

from .life import Bank, Committed
from .wire import Wire

SEED = 11


class Crowd:
    """The bank, and the file that holds its initial read and every transaction so far."""

    def __init__(self, path: Path, customers: int, accounts: int) -> None:
        self.path = path
        self.bank = Bank(SEED, steady_clock=True)
        while len(self.bank.rows["customers"]) < customers:
            self.bank.insert("customers", self.bank.customer(self.bank.new_id("customers")))
        while len(self.bank.rows["accounts"]) < accounts:
            self.open_account()
        self.bank.initial = {table: dict(rows) for table, rows in self.bank.rows.items()}
        self.wire = Wire(self.bank, SEED)
        self.wire.initial_read()
        self._write()

    def open_account(self) -> None:
        row = self.bank.rows["accounts"][self.bank.any("accounts")]
        owner = self.bank.any("customers")
        changed = {"id": self.bank.new_id("accounts"), "customer_id": owner}
        self.bank.insert("accounts", row | changed)

    def commit(self, *changes: Callable[[], None]) -> None:
        """One transaction of these changes, at the end of the file."""
        self.bank.tick()
        self.bank.tx = Committed(801 + len(self.bank.history), self.bank.now_us)
        for change in changes:
            change()
        self.bank.history.append(self.bank.tx)
        self.wire.send(self.wire.stamp(self.bank.tx), 0, len(self.bank.tx.events))
        self._write()

    def update(self, table: str, count: int, column: str, value: Callable[[int], str]) -> None:
        """Changes one column of the first `count` rows of a table."""
        for key in sorted(self.bank.rows[table])[:count]:
            self.bank.update(table, key, **{column: value(key)})

    def _write(self) -> None:
        with self.path.open("a") as file:
            file.writelines(f"{line}\n" for line in self.wire.lines)
        self.wire.lines.clear()
