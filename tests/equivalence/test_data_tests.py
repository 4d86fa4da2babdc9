"""Verdicts of data tests that follow changes: at every epoch each counts the rows that its SQL gives.

The bank's own tests find nothing, so a model beside them has tests that fail, now more and now less: of
each kind, over facts that come and accounts that change and go.
"""

import pytest

from equivalence.project import load
from equivalence.runs import Cut

pytest.importorskip("duckdb", reason="duckdb is missing: run tests/install")
pytest.importorskip("dbt.cli.main", reason="dbt is missing: run tests/install")

MODEL = """{{ config(materialized='table') }}
select transaction_id, account_id, related_account_id, status, amount, transaction_type
from {{ ref('stg_transactions') }}
"""
TESTS = """version: 2
models:
  - name: odd_transactions
    columns:
      - name: related_account_id
        data_tests:
          - not_null: {config: {severity: warn}}
          - relationships:
              to: ref('dim_accounts_current')
              field: account_id
              config: {severity: warn}
      - name: account_id
        data_tests:
          - unique: {config: {severity: warn}}
          - relationships:
              to: ref('dim_accounts_current')
              field: account_id
              config: {severity: warn}
      - name: transaction_type
        data_tests:
          - accepted_values: {values: ['DEPOSIT'], config: {severity: warn}}
"""
SINGULAR = """{{ config(severity='warn') }}
select account_id, sum(amount) as amount
from {{ ref('odd_transactions') }}
group by account_id
having sum(amount) > 500
"""
ODD = 6


def edit(project) -> None:
    (project / "marts" / "odd_transactions.sql").write_text(MODEL)
    (project / "marts" / "_odd.yml").write_text(TESTS)
    (project / "tests" / "odd_sums.sql").write_text(SINGULAR)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    from equivalence.project import Compiled
    return Compiled(tmp_path_factory.mktemp("odd"), edit)


def test_every_verdict_counts_what_its_sql_gives(runs, odd, seeds):
    for seed in range(seeds[0]):
        _, capture = runs.life(seed, transactions=100)
        lake = runs.replay(capture, Cut(seed, rows=30, interleave=seed), odd.project)
        connection, known, found, modes = odd.database(), {}, {}, {}
        for decision in lake.built():
            for test in decision["tests"]:
                modes.setdefault(test["name"], []).append(test["mode"])
                assert (test["mode"] == "recompute") == bool(test.get("reason")), test
            for name, relation in odd.sources.items():
                path = f"source/{name}"
                move(connection, known, path, relation, lake, decision)
            for node in odd.nodes:
                move(connection, known, node.path, node.relation, lake, decision)
            verdicts = {test["name"]: test["failures"] for test in decision["tests"]}
            assert verdicts.keys() == odd.tests.keys()
            for name, sql in odd.tests.items():
                counted = f"select count(*) from ({sql}) as failing"
                ((count,),) = connection.execute(counted).fetchall()
                where = f"{name} at epoch {decision['epoch']}"
                assert verdicts[name] == count, f"{where}: {verdicts[name]} instead of {count}"
                if count:
                    found.setdefault(name, set()).add(count)
        assert len(found) >= ODD - 1, found
        # Seen with several counts: followed, not found once.
        assert sum(len(counts) > 2 for counts in found.values()) >= ODD // 2, found
        # Counted once, when the models are built; what changed is enough from then on.
        first = {name: seen.pop(0) for name, seen in modes.items()}
        assert set(first.values()) == {"recompute"}
        assert all("follow" in modes[name] for name in found), modes
        assert all(set(seen) <= {"follow", "unchanged"} for seen in modes.values()), modes


def move(connection, known, path, relation, lake, decision) -> None:
    """Loads a table if it moved with this epoch."""
    version = decision["tables"][path]["version"]
    if known.get(path) != version:
        load(connection, relation, lake.table(path, decision))
        known[path] = version
