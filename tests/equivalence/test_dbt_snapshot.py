"""dbt itself as the oracle of history: `dbt snapshot` after each transaction gives our versions.

A copy of the project is run in this process by dbt on DuckDB. Its sources are views that show the
bank as of one transaction; a hook steps to the next one before each run.

What dbt can't know (facts on dbt, known deviations), and what is done about each:
- two changes between runs lose the first: so dbt runs after every transaction, one at a time;
- a row that comes and goes between runs never existed: likewise, and within one transaction it
  never was visible for either side;
- a version is dated "now": the copy dates them by `updated_at`, the commit time of the row;
- a delete is dated by the run's clock: the copy's clock shows the transaction's commit time;
- changes dated before or at the version they follow are dated otherwise: so this bank's clock only
  goes forward (test_history.py has the others);
- `dbt_scd_id` is made from the key and the time alone, so it is left out here.
"""

import os

import duckdb
import pytest

from equivalence import fold
from equivalence.lake import assert_same_rows, multiset
from equivalence.life import TABLES, iso
from equivalence.project import copy_project, dbt
from equivalence.runs import Cut

pytest.importorskip("dbt.cli.main", reason="dbt is missing: run tests/install")

TRANSACTIONS = 200 if os.environ.get("FRESHET_LONG") == "1" else 60
CLOCK = """
{# The oracle's clock: the commit time of the transaction that the sources show. #}
{% macro snapshot_get_time() %}(select commit_at from public.shown){% endmacro %}
{% macro duckdb__snapshot_get_time() %}(select commit_at from public.shown){% endmacro %}
"""
KINDS = {
    "customers": "id integer, first_name varchar, last_name varchar, email varchar, "
                 "created_at timestamptz",
    "accounts": "id integer, customer_id integer, account_type varchar, balance decimal(18, 2), "
                "currency varchar, created_at timestamptz",
    "transactions": "id bigint, account_id integer, txn_type varchar, amount decimal(18, 2), "
                    "related_account_id integer, status varchar, created_at timestamptz",
}


def states(bank):
    """After 0, 1, 2, .. transactions: the commit time, and each row with its own."""
    rows = {t: {k: (r, bank.read_us) for k, r in bank.initial[t].items()} for t in TABLES}
    yield bank.read_us, rows
    for tx in bank.history:
        for event in tx.events:
            if event.op == "d":
                del rows[event.table][event.key]
            else:
                rows[event.table][event.key] = (event.after, tx.commit_us)
        yield tx.commit_us, rows


def prepare(database, bank) -> None:
    """Every state of the bank, and views that show the one whose turn it is."""
    with duckdb.connect(str(database)) as connection:
        run = connection.execute
        run("set TimeZone = 'UTC'; create schema public")
        run("create table public.turn as select -1 as k")
        run("create table public.commits (k integer, commit_at timestamp)")
        run("create view public.shown as select commit_at from public.commits "
            "where k = (select k from public.turn)")
        for table, columns in KINDS.items():
            run(f"create table public.every_{table} ({columns}, _commit_at timestamptz, k integer)")
            run(f"create view public.{table} as select * exclude (k) from public.every_{table} "
                f"where k = (select k from public.turn)")
        for k, (at, rows) in enumerate(states(bank)):
            run("insert into public.commits values (?, ?::timestamptz)", [k, iso(at)])
            for table in TABLES:
                values = [[*row.values(), iso(at), k] for row, at in rows[table].values()]
                if values:
                    marks = ", ".join("?" * len(values[0]))
                    connection.executemany(
                        f"insert into public.every_{table} values ({marks})", values)


def dated_copy(folder):
    """The project with snapshots dated by commit time, staging as views, and the oracle's clock."""
    project = copy_project(folder)
    for file in (project / "staging").glob("*.sql"):
        text = file.read_text().replace("materialized='table'", "materialized='view'")
        file.write_text(text.replace(
            "as load_timestamp",
            "as load_timestamp,\n    cast(_commit_at as timestamp) as committed_at"))
    for file in (project / "snapshots").glob("*.sql"):
        text = file.read_text().replace("strategy='check'", "strategy='check',\n    "
                                        "updated_at='committed_at'")
        file.write_text(text.replace("created_at\nfrom", "created_at,\n    committed_at\nfrom"))
        assert text.count("committed_at") == 1 and file.read_text().count("committed_at") == 2
    (project / "macros").mkdir()
    (project / "macros" / "clock.sql").write_text(CLOCK)
    with (project / "dbt_project.yml").open("a") as settings:
        settings.write('\non-run-start: "update public.turn set k = k + 1"\n')
    return project


def run_dbt(folder, bank):
    """`dbt snapshot` after every transaction; the database that holds its versions."""
    from dbt.cli.main import dbtRunner
    database = folder / "bank.duckdb"
    prepare(database, bank)
    project = dated_copy(folder)
    where = ["--project-dir", str(project), "--profiles-dir", str(project)]
    os.environ["BANK_DUCKDB"] = str(database)
    manifest = dbtRunner().invoke(["--quiet", "parse", *where]).result
    dbt(project, database, "run", "--select", "stg_customers", "stg_accounts",
        manifest=manifest)
    with duckdb.connect(str(database)) as connection:
        connection.execute("update public.turn set k = -1")
    for _ in range(len(bank.history) + 1):
        dbt(project, database, "snapshot", manifest=manifest)
    return database


def test_dbt_snapshot_after_each_transaction_gives_our_versions(runs, tmp_path):
    bank, capture = runs.life(21, TRANSACTIONS, steady_clock=True)
    lake = runs.replay(capture, Cut(seed=21, rows=60, interleave=21))
    database = run_dbt(tmp_path, bank)
    for table in fold.SNAPSHOTS:
        name = f"{table}_snapshot"
        with duckdb.connect(str(database)) as connection:
            said = connection.sql(f"select * exclude (committed_at) from analytics.{name}")
            expected = said.to_arrow_table().to_pylist()
        found = multiset(lake.rows(f"snapshots/{name}", lake.last()), without=("dbt_scd_id",))
        assert any(row["dbt_valid_to"] for row in expected)
        assert_same_rows(found, multiset(expected, without=("dbt_scd_id",)), name)
