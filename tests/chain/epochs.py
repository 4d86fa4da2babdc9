"""What each epoch of a lake holds, told by its raw tables alone.

Raw keeps every record with the epoch that took it in. It must never look at a model.
"""

from collections import defaultdict

from .lake import Lake
from .line import TABLES


def taken(lake: Lake) -> list[set[tuple]]:
    """The (topic, partition, offset) of each epoch, in the order of epochs."""
    found: dict[int, set] = defaultdict(set)
    for table in TABLES:
        for row in lake.rows(f"raw/{table}"):
            found[row["epoch"]].add((row["topic"], row["partition"], row["offset"]))
    return [found[epoch] for epoch in sorted(found)]


def transactions(lake: Lake) -> list[set[int]]:
    """The source transactions of each epoch, by first deliveries; reads are in none."""
    found: dict[int, set] = defaultdict(set)
    for table in TABLES:
        met = set()
        for row in sorted(lake.rows(f"raw/{table}"), key=lambda row: row["seq"]):
            identity = (row["key"], row["op"], row["tx_id"], row["lsn"])
            if row["op"] != "r" and identity not in met:
                found[row["epoch"]].add(row["tx_id"])
            met.add(identity)
    return [found[epoch] for epoch in sorted(found)]


def assert_prefixes(lake: Lake, commit_order: list[int]) -> None:
    """Law 3: whatever epoch is looked at, what it and those before it hold is a prefix of the
    source's commits, each whole.
    """
    taken = transactions(lake)
    known = set().union(*taken)
    order = [each for each in commit_order if each in known]
    assert len(order) == len(known)
    at = 0
    for epoch in taken:
        assert epoch == set(order[at:at + len(epoch)])
        at += len(epoch)


def first_taken(lake: Lake) -> list[set[tuple]]:
    """The (topic, partition, offset) of each epoch's first deliveries, in the order of epochs.

    A repeated delivery changes nothing, and belongs to whichever epoch met it: epochs that hold
    nothing else are left out.
    """
    found: dict[int, set] = defaultdict(set)
    for table in TABLES:
        met = set()
        for row in sorted(lake.rows(f"raw/{table}"), key=lambda row: row["seq"]):
            identity = (row["key"], row["op"], row["tx_id"], row["lsn"])
            if identity not in met:
                found[row["epoch"]].add((row["topic"], row["partition"], row["offset"]))
            met.add(identity)
    return [found[epoch] for epoch in sorted(found)]
