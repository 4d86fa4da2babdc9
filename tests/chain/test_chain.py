"""Laws 1, 2, 4 and 6 from PostgreSQL to MinIO, with every server but the disk broken on the way.

At the end every current row equals PostgreSQL's, and every version of both snapshots equals the
history that a trigger kept in PostgreSQL, dated by its commits to the microsecond.
"""

from datetime import datetime

import pytest

pytest.importorskip("deltalake", reason="python packages are missing: run tests/install")

from . import audit, capture, epochs  # noqa: E402
from .audit import ACCOUNTS, CUSTOMERS, naive  # noqa: E402
from .lake import plain  # noqa: E402
from .line import TABLES  # noqa: E402
from .writer import FIRST_ID  # noqa: E402

ADDED = {"_commit_at", "_tx_id", "_lsn"}


def rows_of(postgres, table: str) -> dict[int, dict]:
    """The rows of PostgreSQL by key, and the commit time of the transaction that wrote each."""
    with postgres.connect() as connection:
        cursor = connection.execute(
            f"select *, pg_xact_commit_timestamp(xmin) as _commit_at from {table}")
        names = [column.name for column in cursor.description]
        return {row[0]: plain(dict(zip(names, row, strict=True))) for row in cursor.fetchall()}


def by_key(rows: list[dict]) -> dict[int, dict]:
    keyed = {row["id"]: row for row in rows}
    assert len(keyed) == len(rows), "a key has two current rows"
    return keyed


def differences(ours: dict, theirs: dict) -> str:
    """What differs, few enough to be read; nothing where all is equal."""
    wrong = [key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)]
    return "".join(f"\n{key}\n ours   {ours.get(key)}\n theirs {theirs.get(key)}"[:3000]
                   for key in sorted(wrong)[:5])


def in_order(version: tuple) -> tuple:
    """By time. A row that was changed while it was read has versions without length: the read's
    and those of all changes but the last begin and end as one, and no column tells their order."""
    values, updated_at, valid_from, valid_to = version
    return valid_from, valid_to or datetime.max, updated_at, repr(values)


@pytest.fixture(scope="module")
def reads(story) -> audit.Reads:
    return capture.reads(capture.read(story.capture))


@pytest.mark.parametrize("table", TABLES)
def test_current_rows_are_those_of_postgresql(story, reads, postgres, table):
    theirs = rows_of(postgres, table)
    ours = by_key(story.lake.rows(f"source/{table}"))
    for key, row in theirs.items():
        # What nobody changed since is dated by the initial read.
        if row["_commit_at"] < naive(reads.streamed_from):
            row["_commit_at"] = naive(reads.met[table, key])
    ours = {key: {name: value for name, value in row.items() if name not in ADDED - {"_commit_at"}}
            for key, row in ours.items()}
    assert len(theirs) > 100
    told = differences(ours, theirs)
    assert not told, told


@pytest.mark.parametrize("watched", [CUSTOMERS, ACCOUNTS], ids=lambda each: each.relation)
def test_history_is_what_the_trigger_kept(story, reads, postgres, watched):
    theirs = audit.history(postgres, watched, reads)
    ours: dict[str, list] = {}
    for row in story.lake.rows(f"snapshots/{watched.relation}_snapshot"):
        values = {column: row[column] for column in watched.columns}
        version = (values, row["dbt_updated_at"], row["dbt_valid_from"], row["dbt_valid_to"])
        ours.setdefault(row[watched.key], []).append(version)
    for versions in [*ours.values(), *theirs.values()]:
        versions.sort(key=in_order)
    assert sum(len(versions) for versions in theirs.values()) > len(theirs) + 20
    told = differences(ours, theirs)
    assert not told, told


def test_everything_was_met(story):
    """The run had in it what it is about: else the comparisons above prove little."""
    records = capture.read(story.capture)
    changes = capture.changes(records)
    ops = {record["event"]["op"] for record in changes}
    assert ops >= {"r", "c", "u", "d"}
    assert len({(record["topic"], record["partition"]) for record in records}) == 10
    identities = [capture.identity(record) for record in changes if record["event"]["op"] != "r"]
    assert len(identities) > 1000
    headers = {name for record in records for name in record["headers"][::2]}
    assert {"__debezium.newkey", "__debezium.oldkey"} <= headers
    assert any("__debezium_unavailable_value" in record["payload"] for record in changes)


def test_nothing_was_lost_or_guessed(story):
    status = story.line.status()
    assert status["phase"] == "following"
    assert status["guarantee"] == "transactional"
    assert status["totals"]["dead_letters"] == 0
    failed = [test["name"] for test in status["tests"] if test["status"] == "fail"]
    assert not failed
    changes = capture.changes(capture.read(story.capture))
    assert status["totals"]["events"] == len(changes)


def test_epochs_were_cut_between_commits(story):
    """Law 3 through every restart: no epoch of the run held half a transaction."""
    order = capture.commit_order(capture.read(story.capture))
    epochs.assert_prefixes(story.lake, order)


def test_added_column_was_filled_from_what_was_kept(story):
    """Values that arrived before freshet knew their column are there: raw kept them."""
    assert "phone" not in story.before_phone[0]
    rows = by_key(story.lake.rows("source/customers"))
    phones = {number: rows[FIRST_ID + number]["phone"] for number in (1, 3, 4, 5, 6, 501)}
    assert phones == {1: "+47 1", 3: None, 4: "+47 4", 5: "+45 5", 6: "+45 6", 501: "+47 500"}
