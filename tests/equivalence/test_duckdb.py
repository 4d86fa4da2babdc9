"""Law 1, exact: every model's table equals its SQL run from scratch, at every committed epoch.

The SQL is what real dbt compiles; DuckDB runs it over the source tables at the versions that the
epoch's decision names. Snapshots are input here, as the lake has them (test_history.py folds them).
Each table's digest is recomputed in Python by its specification, too.
"""

import pyarrow as pa
import pytest

from equivalence.lake import audit_columns, digest, digested
from equivalence.project import load
from equivalence.runs import TINY, TINY_LIFE, Cut

pytest.importorskip("duckdb", reason="duckdb is missing: run tests/install")


def check_epoch(compiled, connection, lake, decision, known) -> int:
    """Recomputes what changed with this epoch; how many model tables were compared."""
    stale, compared = set(), 0
    for name, relation in compiled.sources.items():
        path = f"source/{name}"
        if known.get(path) != decision["tables"][path]["version"]:
            load(connection, relation, lake.table(path, decision))
            known[path] = decision["tables"][path]["version"]
            stale.add(name)
    for node in compiled.nodes:
        version = decision["tables"][node.path]["version"]
        moved = known.get(node.path) != version
        known[node.path] = version
        if node.kind == "snapshot":
            if moved:
                load(connection, node.relation, lake.table(node.path, decision))
                stale.add(node.name)
            continue
        if stale.intersection(node.above):
            connection.execute(f"create or replace table {node.relation} as {node.sql}")
            stale.add(node.name)
        if node.name in stale or moved:
            compare(connection, node, lake.table(node.path, decision), decision)
            compared += 1
    return compared


def compare(connection, node, found: pa.Table, decision) -> None:
    """The lake's rows against DuckDB's, as multisets and with exact types."""
    where = f"{node.path} at epoch {decision['epoch']}"
    audit = audit_columns(decision, node.path)
    assert set(audit) <= {"load_timestamp"}, where
    left_out = f"exclude ({', '.join(audit)})" if audit else ""
    connection.register("found", found)
    mine = f"select * {left_out} from found"
    theirs = f"select * {left_out} from {node.relation}"
    kinds = [connection.execute(f"describe {query}").fetchall() for query in (mine, theirs)]
    assert [k[:2] for k in kinds[0]] == [k[:2] for k in kinds[1]], f"{where}: columns differ"
    for one, other, said in ((mine, theirs, "too many"), (theirs, mine, "missing")):
        rows = connection.execute(f"({one}) except all ({other}) limit 5").fetchall()
        assert not rows, f"{where}: {said}: {rows}"
    connection.unregister("found")


def check_digests(lake, decision, seen) -> None:
    """What the decision says of each table: its rows and, where it has one, its digest."""
    for path, standing in decision["tables"].items():
        if (path, standing["version"]) in seen:
            assert standing == seen[path, standing["version"]]
            continue
        seen[path, standing["version"]] = standing
        rows = lake.table(path, decision)
        where = f"{path} at epoch {decision['epoch']}"
        assert rows.num_rows == standing["rows"], where
        if "digest" in standing:
            columns = digested(decision, path, rows.column_names)
            assert digest(rows, columns) == standing["digest"], where


def check_lake(compiled, lake, every: int = 1) -> None:
    """Every `every`th epoch of a lake, and its last."""
    connection, known, seen, compared = compiled.database(), {}, {}, 0
    built = lake.built()
    assert len(built) > 5, "too few epochs to prove anything"
    for decision in [*built[:-1:every], built[-1]]:
        compared += check_epoch(compiled, connection, lake, decision, known)
        check_digests(lake, decision, seen)
    assert compared > 2 * len(compiled.nodes), "little changed after the first build"


def test_every_model_equals_duckdb_at_every_epoch_of_random_histories(runs, compiled, seeds):
    for seed in range(seeds[0]):
        bank, capture = runs.life(seed, transactions=100)
        kinds = bank.kinds()
        assert len(kinds) >= 8 and min(kinds.values()) >= 2, f"seed {seed} is too tame: {kinds}"
        check_lake(compiled, runs.replay(capture, Cut(seed, rows=30, interleave=seed)))


def test_every_model_equals_duckdb_where_the_initial_read_comes_in_parts(runs, compiled):
    _, capture = runs.life(*TINY_LIFE)
    lake = runs.replay(capture, TINY)
    first = lake.built()[0]["epoch"]
    assert first > 3, f"the initial read was over in epoch {first}"
    check_lake(compiled, lake)


def test_every_model_equals_duckdb_over_the_demos_bank(runs, compiled):
    lake = runs.replay(runs.demo(5), Cut(seed=5, rows=90, interleave=5))
    check_lake(compiled, lake, every=4)


def test_a_wrong_row_is_found(runs, compiled):
    """The oracle itself: one changed cent must not pass."""
    _, capture = runs.life(0, transactions=100)
    lake = runs.replay(capture, Cut(0, rows=30, interleave=0))
    decision = lake.last()
    connection = compiled.database()
    check_epoch(compiled, connection, lake, decision, {})
    node = next(n for n in compiled.nodes if n.name == "dim_accounts")
    connection.execute(f"update {node.relation} set balance = balance + 0.01 "
                       f"where account_id = (select min(account_id) from {node.relation})")
    with pytest.raises(AssertionError, match="dim_accounts"):
        compare(connection, node, lake.table(node.path, decision), decision)
    broken = lake.table(node.path, decision).slice(1)
    columns = digested(decision, node.path, broken.column_names)
    assert digest(broken, columns) != decision["tables"][node.path]["digest"]
