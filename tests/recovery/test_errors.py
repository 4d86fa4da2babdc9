"""Law 6: a bad message, config or model, a missing server, a full disk, a read-only lake: each says
where and what to do, with the exit code for it, and nothing is lost: once mended, the next run
makes what an undisturbed one would have made.
"""

import re
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from stack.server import free_port, wait_until

from . import broken
from .program import project_with, replaying
from .service import Service
from .tables import Lake, assert_same, contents, differences
from .topics import fill, put, records, write_config

FAILED, INVALID, UNAVAILABLE, CORRUPT = 1, 2, 3, 5
# Epochs that hold good ones too, at both ends, don't count.
BAD_MESSAGES = 1600
MISSING = 5


def letters(program, lake) -> list[dict]:
    query = ('select topic, "partition", "offset", reason, key, value from dead_letters '
             'order by "offset"')
    return program.sql(str(lake), query)


def test_bad_messages(program, capture, reference, tmp_path):
    """Each is kept with its place and reason; everything else is as if they had not been."""
    bad, lake = broken.records(capture), tmp_path / "lake"
    lines = [broken.line(offset, each.key, each.value) for offset, each in enumerate(bad)]
    program.expect(0, *replaying(broken.insert(capture, tmp_path / "bad", lines), lake, 150))
    found = letters(program, lake)
    assert [row["offset"] for row in found] == list(range(len(bad)))
    for row, each in zip(found, bad, strict=True):
        assert (row["topic"], row["partition"]) == (broken.CUSTOMERS, broken.PARTITION)
        assert each.reason in row["reason"], row
        assert row["key"] == (each.key.hex() if each.key else None)
        assert bytes.fromhex(row["value"]) == each.value, "a letter keeps the record's own bytes"
    assert program.status(str(lake))["totals"]["dead_letters"] == len(bad)
    told = differences(contents(program, Lake(lake)), reference)
    # The one that was an event, though its row has no id, is in raw too.
    expected = {"_freshet/dead_letters", "offsets", "raw/customers", "totals"}
    assert {line.split(":")[0] for line in told} == expected, told
    assert any("raw/customers: 1 rows too many, 0 missing" in line for line in told), told


def test_nothing_but_bad_messages(program, capture, reference, tmp_path):
    """The line stops, all of them kept; a new start goes on behind them."""
    lake = tmp_path / "lake"
    lines = [broken.line(offset, b"1", b"nonsense %d" % offset) for offset in range(BAD_MESSAGES)]
    arguments = replaying(broken.insert(capture, tmp_path / "bad", lines), lake, 150)
    said = program.expect(FAILED, *arguments)
    assert "could not be decoded" in said and "dead_letters" in said and "hint: " in said, said
    held = len(letters(program, lake))
    assert 1000 <= held <= BAD_MESSAGES
    assert program.status(str(lake))["totals"]["dead_letters"] == held
    program.expect(0, *arguments)
    values = [bytes.fromhex(row["value"]) for row in letters(program, lake)]
    assert values == [b"nonsense %d" % offset for offset in range(BAD_MESSAGES)]
    told = differences(contents(program, Lake(lake)), reference)
    assert {line.split(":")[0] for line in told} == {"_freshet/dead_letters", "offsets", "totals"}


@pytest.mark.parametrize(("wrong", "right"), [
    ("age_max_mss = 1", "age_max_ms"), ("row_max = 1", "rows_max")])
def test_unknown_key(program, wrong, right, tmp_path):
    config = write_config(tmp_path / "freshet.toml", "127.0.0.1:1", str(tmp_path / "lake"))
    config.write_text(config.read_text().replace("[epoch]", f"[epoch]\n{wrong}"))
    line = config.read_text().splitlines().index(wrong) + 1
    for command in ("serve", "catch-up"):
        said = program.expect(INVALID, command, "--config", config)
        assert f"{config}:{line}:1: " in said and f"`{right}`" in said, said
    assert not (tmp_path / "lake").exists()


def test_no_config(program, tmp_path):
    said = program.expect(INVALID, "catch-up", "--config", tmp_path / "nowhere.toml")
    assert "nowhere.toml" in said and "--config" in said, said


@pytest.mark.parametrize(("name", "text", "place", "words"), [
    ("marts/m.sql", "select nosuch from {{ ref('stg_customers') }}", ":1:8: ", "nosuch"),
    ("marts/m.sql", "select *\nfrom {{ ref('stg_custmers') }}", ":2:9: ", '"stg_customers"'),
    ("marts/m.sql", "select * from {{ ref('m') }}", ":1:18: ", "circle"),
    ("marts/_m.yml", "version: 2\nmodels:\n  - name: m\n   description: x\n", ":4:4: ", "yaml"),
    ("marts/m.sql", "select random() as r from {{ ref('stg_customers') }}", ":1:8: ",
     "`random()` can't be used"),
    ("marts/m.sql", "select 1 as r\nfrom {{ ref('stg_customers') }} tablesample (10)", ":2:9: ",
     "a sample can't be taken"),
    ("marts/m.sql", "select 1 as r\nfrom (select 1 as n from {{ ref('stg_customers') }}) as q sample (1)",
     ":2:7: ", "a sample can't be taken"),
    ("marts/m.sql", "select customer_id as r from {{ ref('stg_accounts') }}\nwhere balance > all (select "
     "balance from {{ ref('stg_accounts') }})", ":2:7: ", "all rows of a subquery"),
    ("marts/m.sql", "select 1 as r from {{ ref('stg_accounts') }}\njoin stg_customers on true", ":2:6: ",
     "{{ ref('stg_customers') }}"),
    ("marts/m.sql", "select * from {{ ref('stg_customers') }} where load_timestamp > '2024-01-01'",
     ":1:1: ", "`load_timestamp` is an audit column"),
    ("marts/m.sql", "select\n  frob(1) as r from {{ ref('stg_customers') }}", ":2:3: ", "frob"),
], ids=["column", "ref", "cycle", "yaml", "random", "sample", "sample_of_rows", "all",
        "hard_coded", "audit", "function"])
def test_bad_model(program, capture, tmp_path, name, text, place, words):
    """file:line:column, before anything is read: no epoch comes of it."""
    models, lake = project_with(tmp_path / "models", {name: text}), tmp_path / "lake"
    said = program.expect(INVALID, *replaying(capture, lake), "--models", models)
    assert f"error: {name}{place}" in said and words in said, said
    assert not list(lake.rglob("*.json")) and not list(lake.rglob("*.parquet"))


def test_bad_model_on_a_lake_that_runs(program, capture, reference, tmp_path):
    """An edit that is wrong changes nothing of what is there."""
    lake = tmp_path / "lake"
    program.expect(0, *replaying(capture, lake, 1000))
    text = "select nosuch from {{ ref('dim_date') }}"
    models = project_with(tmp_path / "models", {"marts/m.sql": text})
    program.expect(INVALID, *replaying(capture, lake, 1000), "--models", models)
    assert_same(program, Lake(lake), reference)


def test_missing_kafka(program, tmp_path):
    config = write_config(tmp_path / "freshet.toml", f"127.0.0.1:{free_port()}",
                          str(tmp_path / "lake"), unavailable_ms=1500)
    said = program.expect(UNAVAILABLE, "catch-up", "--config", config)
    assert re.search(r"error: kafka at 127\.0\.0\.1:\d+: ", said), said


def test_missing_minio(program, tmp_path):
    endpoint = f"http://127.0.0.1:{free_port()}"
    config = write_config(tmp_path / "freshet.toml", f"127.0.0.1:{free_port()}",
                          "s3://freshet/lake", endpoint=endpoint)
    said = program.expect(UNAVAILABLE, "catch-up", "--config", config, AWS_ACCESS_KEY_ID="a",
                          AWS_SECRET_ACCESS_KEY="b")
    assert f"s3://freshet/lake at {endpoint}" in said and "Connection refused" in said, said


@pytest.fixture
def disk(tmp_path):
    """A folder on a disk of 3 MB: (folder, a function that mounts it with other options)."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this user may not mount a tmpfs: {done.stderr.strip()}")

    mount("size=3m")
    yield folder, lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(program, capture, reference, disk):
    folder, remount = disk
    arguments = replaying(capture, folder / "lake")
    for _ in range(2):
        said = program.expect(UNAVAILABLE, *arguments)
        assert "No space left" in said and "free some space" in said and str(folder) in said, said
    assert program.status(str(folder / "lake"))["epoch"]
    remount("size=200m")
    program.expect(0, *arguments)
    assert_same(program, Lake(folder / "lake"), reference)


def test_read_only_lake(program, capture, reference, disk):
    folder, remount = disk
    remount("size=200m")
    arguments = replaying(capture, folder / "lake")
    assert program.run(*arguments, FRESHET_FAILPOINT="decided:20")[0] == -signal.SIGABRT
    remount("ro")
    said = program.expect(UNAVAILABLE, *arguments)
    assert "Read-only" in said and "must be writable" in said and str(folder) in said, said
    assert program.status(str(folder / "lake"))["epoch"] == 20
    remount("rw")
    program.expect(0, *arguments)
    assert_same(program, Lake(folder / "lake"), reference)


@pytest.mark.parametrize("table", ["raw/customers", "marts/dim_accounts"])
def test_foreign_commit(program, capture, reference, tmp_path, table):
    """Another writer's entry where the next one belongs: stop, name it, and mend it as told."""
    lake = tmp_path / "lake"
    arguments = replaying(capture, lake, 150)
    assert program.run(*arguments, FRESHET_FAILPOINT="applied:24")[0] == -signal.SIGABRT
    versions = Lake(lake).decisions()[-1]["tables"]
    version = versions[table]["version"] + 1 if table in versions else 0
    foreign = lake / table / "_delta_log" / f"{version:020}.json"
    foreign.parent.mkdir(parents=True, exist_ok=True)
    foreign.write_text('{"commitInfo":{"operation":"WRITE"}}\n')
    for _ in range(2):
        said = program.expect(CORRUPT, *arguments)
        assert str(foreign.relative_to(lake)) in said and "another program" in said, said
        assert "move that log entry away" in said, said
    foreign.rename(tmp_path / "foreign.json")
    program.expect(0, *arguments)
    assert_same(program, Lake(lake), reference)


def test_lost_decisions(program, capture, tmp_path):
    """Tables without the decisions that made them: nobody may guess where to go on."""
    lake = tmp_path / "lake"
    program.expect(0, *replaying(capture, lake, 5000))
    file = sorted((lake / "_freshet" / "epochs").iterdir())[-1]
    file.write_text(file.read_text()[:1000])
    said = program.expect(CORRUPT, *replaying(capture, lake, 5000))
    assert file.name in said, said


def test_deleted_records_are_not_jumped(freshet, capture, kafka, tmp_path):
    """A stored offset below what the topic still holds: stop, say which and what to do."""
    from confluent_kafka import TopicPartition

    fill(kafka, capture, "gap_server")
    service = Service(freshet, tmp_path / "gap", kafka, prefix="gap_server")
    run = service.serve()
    service.await_epochs(run, 2)
    run.kill()
    before = service.program.status(service.lake.url)
    ends = Counter((r["topic"], r["partition"]) for r in records(capture, "gap_server"))
    left = {(topic, int(partition)): ends[topic, int(partition)] - offset
            for topic, held in before["offsets"].items() for partition, offset in held.items()}
    topic, partition = max(left, key=left.get)
    assert left[topic, partition] > MISSING, "all was read before the kill"
    wanted = before["offsets"][topic][str(partition)]
    gone = TopicPartition(topic, partition, wanted + MISSING)
    kafka.admin.delete_records([gone])[gone].result(timeout=30)
    for _ in range(2):
        said = service.catch_up(CORRUPT)
        assert f"`{topic}`, partition {partition}:" in said and f"offset {wanted}" in said, said
        assert f"({MISSING} missing)" in said and "hint: " in said, said
    assert service.program.status(service.lake.url)["offsets"] == before["offsets"]


def test_a_topic_created_anew_is_not_read_on(freshet, capture, kafka, tmp_path):
    """Its offsets say nothing: it may well hold more records than were read of the one before."""
    fill(kafka, capture, "anew_server")
    service = Service(freshet, tmp_path / "anew", kafka, prefix="anew_server")
    service.catch_up(0)
    before = service.program.status(service.lake.url)
    topic = "anew_server.public.customers"
    kafka.admin.delete_topics([topic])[topic].result(timeout=30)
    wait_until(lambda: topic not in kafka.topics(), 30, "the end of the topic")
    kafka.create_topic(topic, partitions=3)
    mine = [record for record in records(capture, "anew_server") if record["topic"] == topic]
    put(kafka, mine + mine)
    for _ in range(2):
        said = service.catch_up(CORRUPT)
        assert f"`{topic}` was deleted and created anew" in said and "hint: " in said, said
        assert "kafka.topic_ids_wait_ms = 0" in said, said
    assert service.program.status(service.lake.url)["offsets"] == before["offsets"]
    # As told: whoever knows that the records are the same goes on once without ids.
    told, once = service.config.read_text(), "[kafka]\ntopic_ids_wait_ms = 0"
    service.config.write_text(told.replace("[kafka]", once))
    service.catch_up(0)
    service.config.write_text(told)
    service.catch_up(0)
