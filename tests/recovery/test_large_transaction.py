"""A transaction larger than the buffer stays whole: its records wait on disk, one epoch holds it.

It comes through a real Kafka in three partitions, behind all that the capture holds.
"""

import json

import pytest

from .service import Service
from .topics import fill, put, records

ROWS, PADDING = 3_000, 2_000
BUFFER_BYTES = 500_000
TX, FIRST_ID = 900_000_001, 10_000_000
UNAVAILABLE = 3


def large(prefix: str, found: list[dict]) -> list[dict]:
    """BEGIN, ROWS new customers with padded envelopes, END."""
    customers = f"{prefix}.public.customers"
    last = max((json.loads(each["payload"])["source"]["ts_us"], each["payload"]) for each in found
               if each["topic"] == customers and each["payload"])
    event = json.loads(last[1])
    template = event | {"op": "c", "before": None, "padding": "x" * PADDING}
    template["source"]["txId"] = TX
    template["source"]["snapshot"] = "false"
    at_us = last[0] + 1_000_000
    for unit, scale in (("ms", 1_000), ("us", 1)):
        template["source"][f"ts_{unit}"] = at_us // scale
    row = next(json.loads(each["payload"])["after"] for each in found
               if each["topic"] == customers and each["payload"]
               and json.loads(each["payload"])["after"])
    boundary = {"id": f"{TX}:1", "ts_ms": at_us // 1000}
    counts = [{"data_collection": "public.customers", "event_count": ROWS}]
    topic = f"{prefix}.transaction"
    begin = boundary | {"status": "BEGIN", "event_count": None, "data_collections": None}
    end = boundary | {"status": "END", "event_count": ROWS, "data_collections": counts}
    made = [record(topic, 0, None, begin)]
    for place in range(ROWS):
        order = {"id": f"{TX}:1", "total_order": place + 1, "data_collection_order": place + 1}
        template["source"]["lsn"] = 10**15 + place
        key = {"id": FIRST_ID + place}
        after = row | key | {"email": f"large.{place}@example.com"}
        event = template | {"after": after, "transaction": order}
        made.append(record(customers, place % 3, key, event))
    return [*made, record(topic, 0, None, end)]


def record(topic: str, partition: int, key: dict | None, value: dict) -> dict:
    return {"topic": topic, "partition": partition, "key": key and json.dumps(key),
            "payload": json.dumps(value)}


@pytest.fixture
def service(freshet, capture, kafka, tmp_path) -> Service:
    """A service whose buffer holds a tenth of the transaction that is in its topics."""
    prefix = f"large_{tmp_path.name.replace('-', '_')}"
    fill(kafka, capture, prefix)
    put(kafka, large(prefix, records(capture, prefix)))
    made = Service(freshet, tmp_path / "large", kafka, prefix=prefix)
    bounds = (f"[epoch]\nbuffer_bytes_max = {BUFFER_BYTES}\nbytes_max = {BUFFER_BYTES // 2}\n"
              f'spill_dir = "{tmp_path}/spill"')
    made.config.write_text(made.config.read_text().replace("[epoch]", bounds))
    return made


def test_it_waits_on_disk_and_is_one_epoch(service, tmp_path):
    said = service.catch_up(UNAVAILABLE)
    assert "epoch.spill_dir" in said and f"{tmp_path}/spill" in said, said
    (tmp_path / "spill").mkdir()
    said = service.catch_up()
    assert "wait on disk" in said, said
    assert not list((tmp_path / "spill").iterdir()), "a file is left"
    sql = f"select count(*) as n from source.customers where id >= {FIRST_ID} and _tx_id = {TX}"
    assert service.program.sql(service.lake.url, sql) == [{"n": ROWS}]
    sql = f"select count(distinct epoch) as epochs from raw.customers where tx_id = {TX}"
    assert service.program.sql(service.lake.url, sql) == [{"epochs": 1}]
    failed = [test for test in service.program.status(service.lake.url)["tests"]
              if test["status"] == "fail"]
    assert not failed
