"""`serve` and `catch-up` with a target: killed under load, a target that is away, a test that fails."""

import json
import random
import shutil
import socket
import time
from pathlib import Path

import pytest
import requests

pytest.importorskip("confluent_kafka", reason="python packages are missing: run tests/install")

from recovery.conftest import capture, topics  # noqa: E402, F401
from recovery.service import Service  # noqa: E402
from stack.server import wait_until  # noqa: E402

from .desk import ROOT, Desk, connector, password  # noqa: E402
from .servers import Emulator  # noqa: E402

KILLS = 5
SECRET = {"FRESHET_SECRET": "tulip"}
AT_ONCE = "[publish.snowflake.policy]\nevery_seconds = 0\n"


class Line:
    """A service with a target, and a desk on the same lake."""

    def __init__(self, freshet, folder: Path, kafka, url: str, models: Path = ROOT / "models"):
        self.service = Service(freshet, folder, kafka, models=models)
        self.service.program.environment |= SECRET
        target = password(url) + AT_ONCE
        with self.service.config.open("a") as config:
            config.write(target)
        lake = Path(self.service.lake.url)
        self.desk = Desk(freshet, folder / "desk", lake, target, models, **SECRET)

    def status(self) -> dict:
        return json.loads(self.desk.publish("status", "--json").splitlines()[0])[0]


def pushes(server) -> list[int]:
    with connector(server) as connection:
        rows = connection.cursor().execute('SELECT "EPOCH" FROM BANKING.FRESHET.EPOCHS').fetchall()
    return [int(epoch) for epoch, in rows]


def test_serve_is_killed_again_and_again_and_the_target_is_true(
        freshet, topics, emulator, tmp_path):  # noqa: F811
    line = Line(freshet, tmp_path, topics, emulator.url)
    moments = random.Random(7)
    killed = 0
    for number in range(KILLS):
        run = line.service.serve()
        if number:
            line.service.await_epochs(run, 2)
        time.sleep(moments.uniform(0.05, 1.0))
        killed += run.kill() == -9
    assert killed == KILLS
    line.service.catch_up()
    status = line.status()
    assert status["holds_epoch"] == status["lake_epoch"] == line.service.epoch()
    assert all(table["same"] for table in line.desk.verify())
    done = pushes(emulator)
    assert len(done) == len(set(done)), "an epoch was pushed twice"
    # Nothing has changed: nobody even logs in, and the warehouse sleeps.
    logins = f"{emulator.url}/emulator/logins"
    before = len(requests.get(logins, timeout=5).json())
    line.service.catch_up()
    assert len(requests.get(logins, timeout=5).json()) == before


def test_a_target_that_is_away_holds_nothing_up(freshet, topics, tmp_path):  # noqa: F811
    emulator = Emulator(freshet, "--lock-timeout-ms", "300")
    line = Line(freshet, tmp_path, topics, emulator.url)
    said = line.service.catch_up(code=3)
    assert "not published" in said and "tulip" not in said
    assert line.service.epoch() > 20, "the lake waited for its target"
    status = line.status()
    assert status["holds_epoch"] is None and status["error"]
    run = line.service.serve()
    with socket.socket() as probe:
        assert probe.connect_ex((emulator.host, emulator.port)) != 0
    emulator.start()
    try:
        wait_until(lambda: line.status()["holds_epoch"] == line.service.epoch(), 60, "the push")
        # The backlog was one push.
        assert pushes(emulator) == [line.service.epoch()]
        assert all(table["same"] for table in line.desk.verify())
    finally:
        run.kill()
        emulator.remove()


def test_a_failing_data_test_holds_the_push_back(freshet, topics, emulator, tmp_path):  # noqa: F811
    models = tmp_path / "models"
    shutil.copytree(ROOT / "models", models, ignore=shutil.ignore_patterns("target", "logs"))
    (models / "tests" / "never_right.sql").write_text(
        "-- Fails whatever the rows are.\nselect 1 as wrong from {{ ref('dim_date') }}\n")
    line = Line(freshet, tmp_path / "line", topics, emulator.url, models)
    line.service.catch_up(code=1)
    status = line.status()
    assert status["state"].startswith("held: 1 data tests fail: never_right"), status
    assert status["holds_epoch"] is None
    assert "never_right" in line.desk.publish("push", code=1)
    line.desk.publish("push", "--force")
    assert all(table["same"] for table in line.desk.verify())
