"""The engine's own tests that need a PostgreSQL: the bank's SQL output and the catalog reader.

They are written in Rust beside what they test, and ignored there for want of a server. Each gets a
database of its own. It must never skip what it can run.
"""

import os
import subprocess
from pathlib import Path

import pytest

from .postgres import BANK_SQL

ROOT = Path(__file__).resolve().parents[2]
TESTS = {
    "bank::sql::tests::the_database_holds_what_the_ledger_holds": False,
    "catalog::tests::the_banks_file_is_what_the_server_says": True,
    "catalog::tests::odd_columns_are_named_or_left_out_with_a_notice": True,
}
SECONDS_MAX = 300


@pytest.mark.parametrize("name", TESTS)
def test_in_rust(postgres, name):
    database = f"rust_{list(TESTS).index(name)}"
    with postgres.connect("postgres") as connection:
        connection.execute(f"create database {database}")
    if TESTS[name]:
        with postgres.connect(database, autocommit=False) as connection:
            connection.execute(BANK_SQL.read_text())
    url = postgres.url.rsplit("/", 1)[0] + f"/{database}"
    run = subprocess.run(
        ["cargo", "test", "--locked", "--lib", "--", "--ignored", "--exact", name],
        cwd=ROOT, env=os.environ | {"FRESHET_TEST_POSTGRES": url}, capture_output=True, text=True,
        timeout=SECONDS_MAX, check=False,
    )
    told = run.stdout.replace(postgres.password, "***")[-3000:] + run.stderr[-1000:]
    assert run.returncode == 0 and "1 passed" in run.stdout, told
