"""Captured records as topics of a real Kafka, and the configuration that reads them.

Partitions, order and offsets stay those of the capture, so that raw tables can be compared by
them. It must never let a record go to another partition than it came from.
"""

import base64
import json
from collections.abc import Iterable
from pathlib import Path

from confluent_kafka import Producer

PREFIX = "banking_server"
FLUSH_SECONDS_MAX = 60.0


def records(capture: Path, prefix: str = PREFIX) -> list[dict]:
    """The captured records; another `prefix` moves them to topics of their own."""
    lines = capture.read_text().splitlines()
    found = [json.loads(line) for line in lines]
    for record in found:
        record["topic"] = record["topic"].replace(PREFIX, prefix, 1)
    return found


def fill(kafka, capture: Path, prefix: str = PREFIX, partitions: int = 3) -> None:
    """Creates the topics of `capture` and puts every record where it was."""
    found = records(capture, prefix)
    create(kafka, found, partitions)
    put(kafka, found)


def create(kafka, found: list[dict], partitions: int = 3) -> None:
    """Creates the topics of these records."""
    for topic in sorted({record["topic"] for record in found}):
        only_one = topic.endswith(".transaction")
        kafka.create_topic(topic, partitions=1 if only_one else partitions)


def put(kafka, found: Iterable[dict]) -> None:
    """Produces records in this order, each to its partition."""
    failed = []
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 20,
                         "enable.idempotence": True, "log_level": 0})

    def told(error, _message) -> None:
        if error is not None:
            failed.append(str(error))

    for record in found:
        producer.produce(record["topic"], partition=record["partition"],
                         key=content(record, "key"), value=content(record, "payload"),
                         timestamp=record.get("ts") or 0, on_delivery=told)
        producer.poll(0)
    left = producer.flush(FLUSH_SECONDS_MAX)
    assert not left and not failed, f"{left} records were not taken: {failed[:3]}"


def content(record: dict, part: str) -> bytes | None:
    """The bytes of a record's key or payload."""
    if f"{part}_base64" in record:
        return base64.b64decode(record[f"{part}_base64"])
    text = record.get(part)
    return None if text is None else text.encode()


def write_config(path: Path, bootstrap: str, lake: str, *, prefix: str = PREFIX,
                 endpoint: str | None = None, models: Path | None = None, rows: int = 60,
                 lease_seconds: int = 2, unavailable_ms: int = 4000) -> Path:
    """A freshet.toml with small epochs and little patience."""
    models = models or Path(__file__).parents[2] / "models"
    lines = [
        "[kafka]", f'brokers = "{bootstrap}"', f'prefix = "{prefix}"',
        "discovery_interval_ms = 500", f"unavailable_after_ms = {unavailable_ms}",
        "batch_records = 64",
        "[epoch]", f"rows_max = {rows}", "age_max_ms = 100",
        "[lake]", f'url = "{lake}"', *([f's3_endpoint = "{endpoint}"'] if endpoint else []),
        "[models]", f'dir = "{models}"',
        "[checkpoint]", f"lease_seconds = {lease_seconds}",
    ]
    path.write_text("\n".join(lines) + "\n")
    return path
