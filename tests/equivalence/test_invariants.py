"""Law 3, whole: every committed epoch shows the bank as it was after one source transaction.

The bank's books come from the captured records alone, in commit order (books.py). Versions are
checked as what they claim to be: one open per living key, no overlap, no gap but a delete's.
"""

from collections import defaultdict
from datetime import datetime, timezone
from decimal import Decimal

import pytest

from equivalence.books import Books
from equivalence.fold import SNAPSHOTS, images, wall
from equivalence.lake import audit_columns
from equivalence.life import TABLES
from equivalence.runs import Cut

pytest.importorskip("deltalake", reason="deltalake is missing: run tests/install")


def transactions_in(lake, books, decision) -> int:
    """How many transactions an epoch holds, by raw; they must be the first of commit order."""
    seen = {event["tx_id"] for table in TABLES for event in lake.rows(f"raw/{table}", decision)
            if event["op"] != "r"}
    count = len(seen)
    assert seen == set(books.ends[:count]), f"epoch {decision['epoch']} is no prefix of the commits"
    events = sum(len(books.events[tx_id]) for tx_id in seen)
    distinct = {(table, e["key"], e["lsn"]) for table in TABLES
                for e in lake.rows(f"raw/{table}", decision) if e["op"] != "r"}
    assert len(distinct) == events, f"epoch {decision['epoch']} has part of a transaction"
    return count


def check_rows(lake, decision, state) -> None:
    """Current rows and current dimension rows are those of the books, table by table."""
    where = f"epoch {decision['epoch']}"
    for table in TABLES:
        found = {row["id"]: row for row in lake.rows(f"source/{table}", decision)}
        assert found.keys() == state[table].keys(), f"{where}: {table} has other keys"
        for key, row in state[table].items():
            for name, value in row.items():
                assert same(found[key][name], value), f"{where}: {table} {key} {name}"
    for table, dim, key in (("customers", "dim_customers", "customer_id"),
                            ("accounts", "dim_accounts", "account_id")):
        current = [r[key] for r in lake.rows(f"marts/{dim}", decision) if r["is_current"]]
        assert sorted(current) == sorted(str(k) for k in state[table]), f"{where}: {dim}"
    facts = [row["transaction_id"] for row in lake.rows("marts/fact_transactions", decision)]
    assert sorted(facts) == sorted(str(k) for k in state["transactions"]), where


def same(found, value) -> bool:
    if isinstance(found, Decimal):
        return found == Decimal(value)
    if isinstance(found, datetime):
        return found.astimezone(timezone.utc).replace(tzinfo=None) == wall(value)
    return found == value


def check_versions(lake, decision, table: str) -> None:
    """Versions of a key follow each other; a gap begins with a delete and ends with a new row."""
    key, _ = SNAPSHOTS[table]
    deletes = defaultdict(set)
    for number, event in images(lake.rows(f"raw/{table}", decision)):
        if event["op"] == "d":
            deletes[str(number)].add(event["tx_id"])
    by_key = defaultdict(list)
    for row in lake.rows(f"snapshots/{table}_snapshot", decision):
        by_key[row[key]].append(row)
    for name, rows in by_key.items():
        where = f"epoch {decision['epoch']}: {table} {name}"
        rows.sort(key=lambda r: (r["dbt_valid_from"], r["dbt_valid_to"] or datetime.max))
        gaps = int(rows[-1]["dbt_valid_to"] is not None)
        for one, after in zip(rows, rows[1:]):
            assert one["dbt_valid_to"] is not None, f"{where}: an open version is not the last"
            assert one["dbt_valid_to"] <= after["dbt_valid_from"], f"{where}: overlap"
            gaps += one["dbt_valid_to"] < after["dbt_valid_from"]
        assert all(r["dbt_valid_from"] <= (r["dbt_valid_to"] or datetime.max) for r in rows), where
        assert gaps <= len(deletes[name]), f"{where}: a gap that no delete explains"
        ids = [row["dbt_scd_id"] for row in rows]
        assert len(set(ids)) == len(ids), f"{where}: two versions of one id"


def check_audit(lake, decision, before, path: str) -> None:
    """Rows that this epoch changed say so; those it left alone keep what they said."""
    columns = audit_columns(decision, path)
    now = datetime.fromtimestamp(decision["time_us"] // 10**6, timezone.utc).replace(
        tzinfo=None, microsecond=decision["time_us"] % 10**6)

    def split(row):
        return (tuple(v for c, v in row.items() if c not in columns),
                tuple(row[c] for c in columns))

    old = dict(map(split, lake.rows(path, before))) if before else {}
    for rest, audit in map(split, lake.rows(path, decision)):
        assert audit == old.get(rest, (now,)), f"epoch {decision['epoch']}: {path} {audit}"


def check_lake(lake, books, every: int = 1) -> None:
    """All laws of this page over a lake's epochs."""
    built, reached, before = lake.built(), 0, None
    for decision in [*built[:-1:every], built[-1]]:
        count = transactions_in(lake, books, decision)
        assert count >= reached, "the bank went back in time"
        reached = count
        check_rows(lake, decision, books.states[count])
        accounts = lake.rows("marts/dim_accounts", decision)
        total = sum((r["balance"] for r in accounts if r["is_current"]), Decimal(0))
        assert total == books.sums[count], f"epoch {decision['epoch']}: the books say otherwise"
        for table in SNAPSHOTS:
            check_versions(lake, decision, table)
        if every == 1:
            check_audit(lake, decision, before, "staging/stg_accounts")
            check_audit(lake, decision, before, "marts/fact_transactions")
        before = decision
    assert reached == len(books.ends), "the last epoch does not hold every transaction"


def test_every_epoch_is_the_bank_after_one_transaction(runs, seeds):
    for seed in range(seeds[0]):
        _, capture = runs.life(seed, transactions=100)
        check_lake(runs.replay(capture, Cut(seed, rows=30, interleave=seed)), Books(capture))


def test_every_epoch_of_the_demos_bank_is_in_its_books(runs):
    capture = runs.demo(5)
    lake = runs.replay(capture, Cut(seed=5, rows=90, interleave=5))
    check_lake(lake, Books(capture), every=4)


def test_other_books_are_found_out(runs):
    """The oracle itself: books with one more cent must not agree."""
    _, capture = runs.life(0, transactions=100)
    lake = runs.replay(capture, Cut(0, rows=30, interleave=0))
    books = Books(capture)
    row = next(iter(books.initial["accounts"].values()))
    row["balance"] = str(Decimal(row["balance"]) + Decimal("0.01"))
    with pytest.raises(AssertionError):
        check_lake(lake, books)
