"""Topics as a file: what Kafka held, a record a line, in the form of `kcat -J`.

The engine's `freshet replay` reads it. It must never leave out an offset or change a byte.
"""

import json
from datetime import UTC, datetime
from heapq import merge
from pathlib import Path


def write(kafka, prefix: str, path: Path) -> int:
    """Writes every topic under `prefix` to `path`, merged by time; the number of records."""
    lanes: dict[tuple, list] = {}
    for topic in sorted(name for name in kafka.topics() if name.startswith(f"{prefix}.")):
        for record in kafka.read(topic):
            lanes.setdefault((topic, record.partition()), []).append(record)
    # Times of one partition may fall; merging whole lanes keeps its order all the same.
    records = merge(*lanes.values(), key=lambda record: record.timestamp()[1])
    count = 0
    with path.open("w") as file:
        for count, record in enumerate(records, 1):
            file.write(json.dumps(line(record), ensure_ascii=False, separators=(",", ":")) + "\n")
    return count


def line(record) -> dict:
    headers = [part for name, value in record.headers() or []
               for part in (name, (value or b"").decode())]
    return {
        "topic": record.topic(), "partition": record.partition(), "offset": record.offset(),
        "tstype": "create", "ts": record.timestamp()[1], "headers": headers,
        "key": text(record.key()), "payload": text(record.value())}


def text(content: bytes | None) -> str | None:
    return None if content is None else content.decode()


def read(path: Path) -> list[dict]:
    """The lines of a capture, with their payloads parsed under `event`."""
    records = [json.loads(each) for each in path.read_text().splitlines()]
    for record in records:
        record["event"] = json.loads(record["payload"]) if record["payload"] else {}
    return records


def changes(records: list[dict]) -> list[dict]:
    """The row changes among them: BEGIN and END are left out."""
    return [record for record in records if "op" in record["event"]]


def identity(record: dict) -> tuple:
    """What a redelivery shares with its first delivery."""
    event = record["event"]
    source = event["source"]
    return (record["topic"], record["key"], event["op"], source["txId"], source["lsn"])


def first_streamed(records: list[dict]) -> datetime:
    """The first commit that came by the stream; everything before it came by the initial read."""
    times = [record["event"]["source"]["ts_us"] for record in changes(records)
             if record["event"]["op"] != "r"]
    seconds, us = divmod(min(times), 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=us)
