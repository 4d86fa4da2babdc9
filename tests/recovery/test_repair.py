"""A model that a proof found wrong is made anew by a service to which no record comes.

A file of a mart is written anew with other rows, as a broken disk or a hand would; nothing in the
engine knows of it before `freshet prove` reads the lake.
"""

import json
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from stack.server import wait_until

from equivalence.crowd import Crowd

from .service import Service
from .topics import create, put, records

MART = "dim_accounts_current"


@pytest.fixture
def service(freshet, kafka, tmp_path) -> Service:
    crowd = Crowd(tmp_path / "crowd.jsonl", customers=40, accounts=30)
    crowd.commit(lambda: crowd.update("customers", 1, "first_name", "B{}".format))
    prefix = f"repair_{tmp_path.name.replace('-', '_')}"
    found = records(crowd.path, prefix)
    create(kafka, found)
    put(kafka, found)
    made = Service(freshet, tmp_path / "service", kafka, prefix=prefix, rows=10_000)
    made.config.write_text(made.config.read_text().replace("[epoch]", "[epoch]\ntimer_ms = 200"))
    return made


def damage(folder: Path) -> None:
    """Gives every row of the largest file the values of its last."""
    file = max(folder.glob("*.parquet"), key=lambda path: path.stat().st_size)
    rows = pq.read_table(file)
    assert rows.num_rows > 1
    pq.write_table(rows.take([rows.num_rows - 1] * rows.num_rows), file)


def test_an_idle_service_makes_anew_what_a_proof_found(service):
    lake, program = service.lake, service.program
    run = service.serve()
    service.await_epochs(run)
    wait_until(lambda: not run.running or is_done(program, lake.url), 60, "the initial read")
    before = service.epoch()
    damage(Path(lake.url) / "marts" / MART)
    program.expect(1, "prove", MART, "--config", service.config)
    repairs, holds = "_freshet/repairs", f"_freshet/publish/snowflake/holds/proof-{MART}"
    wait_until(lambda: not run.running or not lake.names(repairs), 60, "the repair")
    run.signal(signal.SIGTERM)
    assert run.wait(15) == 0, run.errors()
    assert not lake.names(repairs) and not [n for n in lake.names("_freshet") if holds in n]
    assert service.epoch() > before
    last = json.loads((Path(lake.url) / "_freshet/epochs" / f"{service.epoch():020}.json").read_text())
    assert last["last_commit_us"] is None, "an epoch without a record"
    program.expect(0, "prove", "--config", service.config)


def is_done(program, url: str) -> bool:
    return any(m["name"] == MART and m["rows"] > 1 for m in program.status(url).get("models", []))
