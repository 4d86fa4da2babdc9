"""Law 4: history is a fact. Snapshots are a pure function of the set of distinct source events.

A fold over raw, written anew in Python (fold.py), gives every snapshot row; and one capture gives
the same tables under every cut and interleaving, the versions' ids included.
"""

import pytest

from equivalence import fold
from equivalence.lake import assert_same_rows, audit_columns, digest, multiset
from equivalence.runs import Cut

pytest.importorskip("deltalake", reason="deltalake is missing: run tests/install")


def cuts(count: int) -> list[Cut]:
    """One epoch for all, the file's own order, and then anything."""
    fixed = [Cut(None, 1_000_000, None), Cut(3, 30, None), Cut(None, 60, 4)]
    return fixed + [Cut(seed, 25 + 40 * (seed % 4), seed) for seed in range(7, 4 + count)]


def check_fold(lake, decision) -> None:
    """Both snapshots at an epoch against the fold over raw as of that epoch."""
    for table in fold.SNAPSHOTS:
        path = f"snapshots/{table}_snapshot"
        expected = fold.versions(table, lake.rows(f"raw/{table}", decision))
        where = f"{lake.root.name}: {path} at epoch {decision['epoch']}"
        assert_same_rows(multiset(lake.rows(path, decision)), multiset(expected), where)


def test_snapshots_equal_a_fold_over_raw_at_every_epoch(runs, seeds):
    for seed in range(seeds[0]):
        _, capture = runs.life(seed, transactions=100)
        lake = runs.replay(capture, Cut(seed, rows=30, interleave=seed))
        built = lake.built()
        for decision in built:
            check_fold(lake, decision)
        assert built[-1]["totals"]["redelivered"] > 0, "nothing was sent again: too tame"


def test_the_demos_snapshots_equal_a_fold_over_raw(runs):
    lake = runs.replay(runs.demo(5), Cut(seed=5, rows=90, interleave=5))
    check_fold(lake, lake.last())


def test_every_cut_and_interleaving_gives_the_same_tables(runs, seeds):
    _, capture = runs.life(0, transactions=100)
    first: dict = {}
    epochs = set()
    for cut in cuts(seeds[1]):
        lake = runs.replay(capture, cut)
        decision = lake.last()
        epochs.add(decision["epoch"])
        for path in decision["tables"]:
            if path.startswith(("raw/", "_freshet/")):
                continue
            rows = lake.rows(path, decision)
            found = multiset(rows, without=audit_columns(decision, path))
            assert_same_rows(found, first.setdefault(path, found), f"{cut}: {path}")
        check_fold(lake, decision)
    assert len(epochs) > 3, f"the cuts were all alike: {epochs}"


def test_a_lost_event_is_found(runs):
    """The oracle itself: without one event of raw, the fold must differ."""
    _, capture = runs.life(0, transactions=100)
    lake = runs.replay(capture, Cut(0, rows=30, interleave=0))
    decision = lake.last()
    raw = lake.rows("raw/accounts", decision)
    lost = next(e for e in reversed(raw) if e["op"] == "u")
    identity = (lost["key"], lost["lsn"])
    kept = [e for e in raw if (e["key"], e["lsn"]) != identity]
    found = lake.table("snapshots/accounts_snapshot", decision)
    with pytest.raises(AssertionError):
        assert_same_rows(multiset(found.to_pylist()), multiset(fold.versions("accounts", kept)), "")
    assert digest(found, found.column_names) != digest(found.slice(1), found.column_names)
