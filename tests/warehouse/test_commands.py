"""status, hold, reset, verify, setup: what the commands say, and their exit codes."""

import json
import sqlite3
import subprocess

import pytest

from .desk import Desk, connector, password


def test_status_hold_push_verify_reset_on_a_local_file(freshet, lake, tmp_path):
    file = tmp_path / "warehouse.sqlite"
    desk = Desk(freshet, tmp_path, lake, f'[publish.local]\npath = "{file}"\n')
    assert "nothing was pushed yet" in desk.publish("status")
    assert "nothing was pushed" in desk.publish("verify", code=2)
    desk.publish("hold", "--why", "the auditors look")
    assert "the auditors look" in desk.publish("push", code=1)
    assert "the auditors look" in desk.publish("status")
    desk.publish("release")
    first, last = desk.epochs()[0], desk.epochs()[-1]
    desk.publish("push", "--epoch", str(first))
    assert f"holds epoch {last}" in desk.publish("push")
    assert "already" in desk.publish("push")
    assert f"holds epoch {last} of {last}" in desk.publish("status")
    with sqlite3.connect(file) as warehouse:
        key, = warehouse.execute("SELECT CUSTOMER_ID FROM CUSTOMER_SUMMARY LIMIT 1").fetchone()
        warehouse.execute("DELETE FROM CUSTOMER_SUMMARY WHERE CUSTOMER_ID = ?", [key])
        warehouse.execute("UPDATE ACCOUNT_SUMMARY SET CURRENCY = 'XXX' WHERE rowid = 1")
    found = json.loads(desk.publish("verify", "--json", code=1).splitlines()[0])
    differ = {t["table"]: t["keys"] for t in found["tables"] if not t["same"]}
    assert differ["CUSTOMER_SUMMARY"] == [[key, "missing"]]
    assert [how for _, how in differ["ACCOUNT_SUMMARY"]] == ["other"]
    assert set(differ) == {"CUSTOMER_SUMMARY", "ACCOUNT_SUMMARY"}
    # What differs is held until it was mended.
    held = desk.publish("push", code=1)
    assert "verify" in held and "CUSTOMER_SUMMARY" in held
    desk.publish("reset", "--tables", "CUSTOMER_SUMMARY,ACCOUNT_SUMMARY")
    assert "--overwrite" in desk.publish("push", code=2)
    desk.publish("push", "--overwrite", "CUSTOMER_SUMMARY,ACCOUNT_SUMMARY")
    assert all(table["same"] for table in desk.verify())


def test_setup_makes_what_a_push_needs_and_says_it(freshet, emulator, lake, tmp_path):
    desk = Desk(freshet, tmp_path, lake, password(emulator.url), FRESHET_SECRET="tulip")
    script = desk.publish("setup", "--print", "--reader", "report")
    for wanted in ["AUTO_SUSPEND = 60", 'TO ROLE "REPORT"', "QUERY_TAG", "COMMENT"]:
        assert wanted in script, wanted
    desk.publish("setup", "--apply")
    with connector(emulator) as connection:
        columns = connection.cursor().execute(
            "SELECT COLUMN_NAME, \"COMMENT\" FROM BANKING.INFORMATION_SCHEMA.COLUMNS "
            "WHERE TABLE_NAME = 'FACT_TRANSACTIONS'").fetchall()
        assert dict(columns)["AMOUNT"] == "Money moved, in the account's currency; always positive."
    desk.publish("push")


def test_every_query_has_a_tag_and_logins_ask_for_little(freshet, emulator, lake, tmp_path):
    import requests
    desk = Desk(freshet, tmp_path, lake, password(emulator.url), FRESHET_SECRET="tulip")
    desk.publish("push")
    login = requests.get(f"{emulator.url}/emulator/logins", timeout=5).json()[0]
    assert json.loads(login["parameters"]["QUERY_TAG"])["app"] == "freshet"
    assert login["parameters"]["TIMEZONE"] == "UTC"


def test_a_push_sends_the_rows_that_changed_and_no_other(freshet):
    done = subprocess.run([str(freshet), "bench", "publish", "--epochs", "5", "--customers", "200",
                           "--transactions", "30", "--json"], capture_output=True, check=True,
                          timeout=120)
    found = json.loads(done.stdout)
    assert found["pushes"] == 5 and found["rows_changed_per_push"] > 100
    assert found["rows_sent_per_row_changed"] == 1.0


@pytest.mark.parametrize("kind", ["local", "snowflake"])
def test_the_demo_pushes_to_a_warehouse(freshet, tmp_path, kind):
    done = subprocess.run([str(freshet), "demo", "--seconds", "3", "--lake", str(tmp_path / "lake"),
                           "--warehouse", kind, "--json"], capture_output=True, check=True,
                          timeout=120)
    checks = {check["what"]: check["holds"] for check in json.loads(done.stdout)["checks"]}
    assert all(checks.values())
    assert "11 of 11 tables there have the lake's own hashes" in checks
