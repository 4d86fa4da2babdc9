"""Law 7, no lock-in: every table of a lake is plain Delta to Python's deltalake and to Spark.

Both must see the same rows as `freshet sql`: the same count, and per table the same order-free
checksum of all values. The lake has many small epochs, so that its tables carry deletion vectors
and Delta checkpoints, and one dead letter.
"""

import hashlib
import json
import re

import pytest

from equivalence.lake import MASK, canonical
from equivalence.runs import TINY, TINY_LIFE

pytest.importorskip("deltalake", reason="deltalake is missing: run tests/install")

BAD = '{"this is": "no envelope | \\\\'


@pytest.fixture(scope="module")
def lake(runs):
    """Many small epochs, and a record that nobody understands at the end."""
    _, capture = runs.life(*TINY_LIFE)
    lines = capture.read_text().splitlines()
    topic = "banking_server.public.customers"
    last = json.loads([line for line in lines if topic in line][-1])
    bad = {**last, "offset": last["offset"] + 100, "key": "k", "payload": BAD}
    disturbed = capture.with_name("disturbed.jsonl")
    disturbed.write_text("\n".join([*lines, json.dumps(bad)]) + "\n")
    return runs.replay(disturbed, TINY)


@pytest.fixture(scope="module")
def answers(runs, lake):
    """Row count and checksum by table, as `freshet sql` answers."""
    found = {}
    for path in lake.last()["tables"]:
        relation = path.removeprefix("_freshet/").replace("/", ".")
        text = runs.sql(lake, f"select * from {relation}")
        rows = [json.loads(line, parse_float=str, parse_int=str) for line in text.splitlines()]
        assert all([*row] == columns(lake, path) for row in rows), f"{path}: columns in disorder"
        found[path] = len(rows), checksum([told(v) for v in row.values()] for row in rows)
    return found


def columns(lake, path: str) -> list[str]:
    return lake.table(path, lake.last()).column_names


def told(value) -> str:
    """A value of `freshet sql --format json` as canonical text."""
    return canonical(instant(value) if isinstance(value, str) else value)


def instant(text: str) -> str:
    """Any engine's text of a timestamp as one: no T, no zone, six digits; other text as it is."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?Z?", text)
    return f"{found[1]} {found[2]}.{(found[3] or '').ljust(6, '0')}" if found else text


def checksum(rows) -> int:
    """The sum of the rows' hashes: order does not matter, duplicates do."""
    hashes = (hashlib.md5("|".join(row).encode()).digest() for row in rows)
    return sum(int.from_bytes(h[8:], "big") for h in hashes) & MASK


def live_vectors(lake) -> set[str]:
    """Tables whose live files have deletion vectors, by replaying the decisions' log entries."""
    live: dict = {}
    for decision in lake.decisions():
        for entry in decision["entries"]:
            for action in map(json.loads, entry["text"].splitlines()):
                if gone := action.get("remove"):
                    live.pop((entry["table"], gone["path"]), None)
            for action in map(json.loads, entry["text"].splitlines()):
                if added := action.get("add"):
                    live[entry["table"], added["path"]] = added.get("deletionVector")
    return {table for (table, _), vector in live.items() if vector}


def test_the_lake_is_hard_enough_to_read(lake):
    assert len(lake.decisions()) > 50, "too few epochs for a Delta checkpoint"
    layers = {path.split("/")[0] for path in live_vectors(lake)}
    assert layers >= {"source", "staging", "marts", "snapshots"}, "deletion vectors are missing"
    files = lake.root.glob("*/*/_delta_log/*.checkpoint.parquet")
    checkpoints = {file.parts[-4] for file in files}
    assert checkpoints >= {"raw", "source"}, f"checkpoints only in {checkpoints}"
    assert lake.last()["tables"]["_freshet/dead_letters"]["rows"] == 1


def test_deltalake_reads_what_freshet_sql_reads(lake, answers):
    decision = lake.last()
    for path, (count, expected) in answers.items():
        table = lake.table(path, decision)
        assert table.num_rows == count == decision["tables"][path]["rows"], path
        cells = [[canonical(value) for value in column.to_pylist()] for column in table.columns]
        assert checksum(zip(*cells)) == expected, path


@pytest.fixture(scope="module")
def spark():
    """One Spark session on one core, small, with delta-spark from tests/install's jars."""
    pytest.importorskip("pyspark", reason="pyspark is missing: run tests/install")
    from pyspark.sql import SparkSession
    from stack.cache import Missing, jars
    from stack.java import java
    try:
        java()
        found = sorted(jars("spark-delta").glob("*.jar"))
    except Missing as missing:
        pytest.skip(str(missing))
    settings = {
        "spark.jars": ",".join(map(str, found)),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.driver.memory": "1g", "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "1", "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.session.timeZone": "UTC", "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.master("local[1]").appName("freshet readers")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


def spark_rows(spark, lake, path: str) -> list[list[str]]:
    """All values as canonical text; Spark itself turns them into text."""
    frame = spark.read.format("delta").load(str(lake.root / path))
    texts = [f"hex({n})" if kind == "binary" else f"cast({n} as string)"
             for n, kind in ((f"`{n}`", kind) for n, kind in frame.dtypes)]
    hexed = [kind == "binary" for _, kind in frame.dtypes]
    return [[told(v.lower() if h and v else v) for v, h in zip(row, hexed)]
            for row in frame.selectExpr(*texts).collect()]


def test_spark_reads_what_freshet_sql_reads(spark, lake, answers):
    for path, (count, expected) in answers.items():
        rows = spark_rows(spark, lake, path)
        assert len(rows) == count, path
        assert checksum(rows) == expected, path


def test_one_changed_value_is_found(lake, answers):
    """The checksum itself: one other value, or one row twice, must not pass."""
    path = "source/accounts"
    rows = [[canonical(v) for v in row.values()] for row in lake.rows(path, lake.last())]
    assert checksum(rows) == answers[path][1]
    assert checksum([*rows, rows[0]]) != answers[path][1]
    rows[0][3] += "0"
    assert checksum(rows) != answers[path][1]
