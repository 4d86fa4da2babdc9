"""What the test itself writes into the bank, beside the generator: the rare things.

Its rows have ids far above the generator's, which must find its own rows as it left them. It must
never touch a row that it did not make.
"""

import random
import string

FIRST_ID = 1_000_000
CUSTOMERS = 24
# Every third of our customers has a note too wide for its page: stored apart, left out of updates.
WIDE = 9_000
MARKER = FIRST_ID + 900_000

INSERT_CUSTOMER = """
insert into customers (id, first_name, last_name, email, notes)
values (%s, 'Ida', 'Holm', %s, %s)
"""
INSERT_ACCOUNT = """
insert into accounts (id, customer_id, account_type, balance) values (%s, %s, 'CHECKING', 100.10)
"""
INSERT_TRANSACTION = """
insert into transactions (id, account_id, txn_type, amount) values (%s, %s, 'DEPOSIT', 100.10)
"""


class Writer:
    """Writes with a seed of its own; each method commits one transaction unless it says more."""

    def __init__(self, postgres, seed: int, wide: int = WIDE) -> None:
        self.postgres, self.wide = postgres, wide
        self.random = random.Random(seed)
        self.marks = 0

    def add_customers(self) -> None:
        """The rows that are changed later; the second half of the customers gets accounts."""
        for number in range(CUSTOMERS):
            self.add_customer(number)
        self.postgres.execute(INSERT_CUSTOMER, [MARKER, "marker@example.org", None])

    def add_customer(self, number: int) -> None:
        """A customer; from the middle on with an account and a posting, in the same transaction."""
        key = FIRST_ID + number
        note = self.noise() if number % 3 == 0 else None
        with self.postgres.connect(autocommit=False) as connection:
            connection.execute(INSERT_CUSTOMER, [key, f"ida{number}@example.org", note])
            if number >= CUSTOMERS // 2:
                connection.execute(INSERT_ACCOUNT, [key, key])
                connection.execute(INSERT_TRANSACTION, [key, key])

    def noise(self) -> str:
        """Text that does not compress, with characters of two bytes among it."""
        letters = string.ascii_letters + string.digits + "æøåß\"\\"
        return "".join(self.random.choices(letters, k=self.wide))

    def rename(self, number: int, name: str) -> None:
        """Changes a narrow column, so that a wide note beside it travels as unchanged."""
        self.postgres.execute("update customers set last_name = %s where id = %s",
                              [name, FIRST_ID + number])

    def rewrite_note(self, number: int) -> None:
        self.postgres.execute("update customers set notes = %s where id = %s",
                              [self.noise(), FIRST_ID + number])

    def change_twice(self, number: int) -> None:
        """Two images of one row in one transaction: the first was never visible."""
        with self.postgres.connect(autocommit=False) as connection:
            for name in ("Unseen", "Seen"):
                connection.execute("update customers set first_name = %s where id = %s",
                                   [name, FIRST_ID + number])

    def move_customer(self, number: int, to: int) -> None:
        """Another primary key for a customer without accounts; its note does not travel."""
        self.postgres.execute("update customers set id = %s where id = %s",
                              [FIRST_ID + to, FIRST_ID + number])

    def move_transaction(self, number: int, to: int) -> None:
        self.postgres.execute("update transactions set id = %s where id = %s",
                              [FIRST_ID + to, FIRST_ID + number])

    def delete_customer(self, number: int) -> None:
        """A delete that cascades to accounts and transactions."""
        self.postgres.execute("delete from customers where id = %s", [FIRST_ID + number])

    def transfer(self, source: int, target: int) -> None:
        """Two balances and a posting in one transaction, which is long enough to be cut in."""
        with self.postgres.connect(autocommit=False) as connection:
            for key, amount in ((source, "-0.05"), (target, "0.05")):
                connection.execute("update accounts set balance = balance + %s where id = %s",
                                   [amount, FIRST_ID + key])
            connection.execute(
                "insert into transactions (account_id, txn_type, amount, related_account_id, id)"
                " values (%s, 'TRANSFER', 0.05, %s, (select max(id) + 1 from transactions"
                " where id >= %s))", [FIRST_ID + source, FIRST_ID + target, FIRST_ID])

    def add_phone(self) -> None:
        """A column more, while rows of before are on their way."""
        self.postgres.execute("alter table customers add column phone varchar(40)")

    def set_phone(self, number: int, phone: str) -> None:
        self.postgres.execute("update customers set phone = %s where id = %s",
                              [phone, FIRST_ID + number])

    def mark(self) -> str:
        """A word that is written now; where it is seen, everything before it is seen too."""
        self.marks += 1
        word = f"mark-{self.marks}"
        self.postgres.execute("update customers set first_name = %s where id = %s", [word, MARKER])
        return word
