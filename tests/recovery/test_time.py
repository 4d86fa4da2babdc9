"""Rows that come and go by time alone: a service makes empty epochs while no record comes, and each
has exactly the rows that its own time lets in.

The clock can't be set from outside, so that rows are dated a few seconds ahead of it. Nothing is
concluded from how long anything took: decisions tell their time, and what they hold must fit it.
"""

import shutil
import signal
import time
from pathlib import Path

import pytest
from stack.server import wait_until

from equivalence.crowd import Crowd
from equivalence.life import iso

from .service import Service
from .topics import create, put, records

MODELS = Path(__file__).parents[2] / "models"
PRESENT, SOURCE = 20, "source/customers"
AHEAD_SECONDS = (1.5, 3, 4.5, 6)
STAYS_SECONDS = 86_400
NOW = "cast(current_timestamp as timestamp(6))"
COMING = "select customer_id, created_at from {{{{ ref('stg_customers') }}}} where created_at {} {}"


@pytest.fixture
def models(tmp_path) -> Path:
    """The bank's project, with those who are still to come and those who have come."""
    folder = tmp_path / "models"
    shutil.copytree(MODELS, folder, ignore=shutil.ignore_patterns("target", "logs"))
    for name, sign in (("coming", ">"), ("come", "<=")):
        (folder / "marts" / f"{name}.sql").write_text(COMING.format(sign, NOW))
    return folder


@pytest.fixture
def crowd(tmp_path) -> Crowd:
    """A bank whose rows are all of the past."""
    return Crowd(tmp_path / "crowd.jsonl", customers=PRESENT, accounts=5)


@pytest.fixture
def prefix(tmp_path) -> str:
    return f"time_{tmp_path.name.replace('-', '_')}"


@pytest.fixture
def service(freshet, kafka, crowd, models, prefix, tmp_path) -> Service:
    """A service that makes empty epochs often, and the initial read in its topics."""
    crowd.commit(lambda: crowd.update("customers", 1, "first_name", "B{}".format))
    found = records(crowd.path, prefix)
    create(kafka, found)
    put(kafka, found)
    made = Service(freshet, tmp_path / "service", kafka, models=models, prefix=prefix)
    made.config.write_text(made.config.read_text().replace("[epoch]", "[epoch]\ntimer_ms = 200"))
    return made


def enter(crowd: Crowd, kafka, prefix: str) -> list[int]:
    """A transaction of customers dated ahead of now; the microseconds at which each has come."""
    sent = len(records(crowd.path))
    now_us = time.time_ns() // 1000
    dates = [now_us + int(ahead * 1e6) for ahead in (*AHEAD_SECONDS, STAYS_SECONDS)]

    def insert() -> None:
        for date in dates:
            row = crowd.bank.customer(crowd.bank.new_id("customers"))
            crowd.bank.insert("customers", row | {"created_at": iso(date)})

    crowd.commit(insert)
    put(kafka, records(crowd.path, prefix)[sent:])
    return dates


def model(decision: dict, name: str) -> dict:
    return next(m for m in decision["models"] if m["name"] == name)


def check(decisions: list[dict], dates: list[int]) -> int:
    """Each epoch has the rows that its time lets in; how many had a row cross without a record."""
    changed = 0
    entered = next(d["epoch"] for d in decisions if d["tables"][SOURCE]["rows"] > PRESENT)
    for decision in decisions:
        coming, come = model(decision, "coming"), model(decision, "come")
        there = dates if decision["epoch"] >= entered else []
        ahead = sum(date > decision["time_us"] for date in there)
        where = f"epoch {decision['epoch']} of {len(decisions)}"
        assert (coming["rows"], come["rows"]) == (ahead, PRESENT + len(there) - ahead), where
        if decision["epoch"] > entered:
            assert decision["last_commit_us"] is None, f"{where} is not empty"
            assert (coming["rows_in"], coming["mode"]) == (0, "follow"), coming
            assert coming["changed"] == come["changed"] <= len(AHEAD_SECONDS), (coming, come)
            changed += coming["changed"] > 0
    return changed


def test_rows_leave_and_enter_by_time_alone(service, crowd, kafka, prefix):
    run = service.serve()
    service.await_epochs(run)
    dates = enter(crowd, kafka, prefix)

    def all_have_come() -> bool:
        models = {m["name"]: m["rows"] for m in service.program.status(service.lake.url)["models"]}
        wanted = {"coming": 1, "come": PRESENT + len(AHEAD_SECONDS)}
        return not run.running or wanted.items() <= models.items()

    wait_until(all_have_come, 60, "the last one's time")
    run.signal(signal.SIGTERM)
    assert run.wait(15) == 0, run.errors()
    decisions = [d for d in service.lake.decisions() if d["cut"]["phase"] == "done"]
    assert check(decisions, dates) > 0, "no row crossed in an epoch without a record"
    names = service.program.sql(service.lake.url, "select customer_id from coming")
    assert names == [{"customer_id": str(max(crowd.bank.rows["customers"]))}]
    # Nor was any of it wrong for a while, until a proof found it.
    assert not service.lake.names("_freshet/proofs")
    service.program.expect(0, "prove", "--config", service.config)
