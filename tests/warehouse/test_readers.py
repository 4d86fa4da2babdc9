"""Snowflake's own driver reads what was pushed: from the emulator, and from fakesnow.

fakesnow is not ours: the same SQL runs there. What it can't do is listed in `fakesnow_server` and
here, and covered on the emulator.
"""

import json
from pathlib import Path

from .contract import assert_same
from .desk import Desk, connector, password

# What an administrator makes; the emulator needs none of it.
ADMIN = ["CREATE DATABASE IF NOT EXISTS BANKING", "CREATE SCHEMA IF NOT EXISTS BANKING.ANALYTICS",
         "CREATE SCHEMA IF NOT EXISTS BANKING.FRESHET", "CREATE SCHEMA IF NOT EXISTS BANKING.RAW"]


def decision(lake: Path, epoch: int) -> dict:
    return json.loads((lake / f"_freshet/epochs/{epoch:020}.json").read_text())


def push_in_steps(desk: Desk, connection, ask_nulls: bool = False) -> None:
    epochs = desk.epochs()
    assert len(epochs) >= 3, "the demo made too few epochs"
    for epoch in [epochs[0], epochs[len(epochs) // 2], epochs[-1]]:
        said = desk.publish("push", "--epoch", str(epoch))
        assert f"holds epoch {epoch}" in said
        assert_same(connection, desk.lake, decision(desk.lake, epoch), ask_nulls)


def test_the_driver_reads_the_contract_from_the_emulator(freshet, emulator, lake, tmp_path):
    desk = Desk(freshet, tmp_path, lake, password(emulator.url), FRESHET_SECRET="tulip")
    with connector(emulator) as connection:
        push_in_steps(desk, connection)
        cursor = connection.cursor().execute(
            'SELECT MART, "EPOCH", ROW_COUNT FROM BANKING.FRESHET.LEDGER')
        ledger = {mart: (epoch, rows) for mart, epoch, rows in cursor.fetchall()}
        last = desk.epochs()[-1]
        for path, standing in decision(lake, last)["tables"].items():
            if path.startswith("marts/"):
                assert ledger[path.removeprefix("marts/").upper()] == (last, standing["rows"])
    assert all(table["same"] for table in desk.verify())


def test_the_driver_reads_the_contract_from_fakesnow(freshet, fakesnow, lake, tmp_path):
    desk = Desk(freshet, tmp_path, lake, password(fakesnow.url), FRESHET_SECRET="tulip")
    with connector(fakesnow) as connection:
        for sql in ADMIN:
            connection.cursor().execute(sql)
        push_in_steps(desk, connection, ask_nulls=True)
