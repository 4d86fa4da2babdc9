"""Topics as a file: what Kafka held, a record a line, in the form of `kcat -J`.

The engine's `freshet replay` reads it. It must never leave out an offset or change a byte.
"""

import json
from datetime import UTC, datetime
from heapq import merge
from pathlib import Path

from .audit import Reads


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


def commit_order(records: list[dict]) -> list[int]:
    """The source's transactions in the order of their first ENDs."""
    ends = [record for record in records if record["event"].get("status") == "END"]
    ends.sort(key=lambda record: record["offset"])
    return list(dict.fromkeys(int(record["event"]["id"].split(":")[0]) for record in ends))


def reads(records: list[dict]) -> Reads:
    """What the initial read met, and the first commit that came by the stream."""
    found, times = {}, []
    for event in (record["event"] for record in changes(records)):
        at = instant(event["source"]["ts_us"])
        if event["op"] == "r":
            found[event["source"]["table"], event["after"]["id"]] = at
        else:
            times.append(at)
    return Reads(min(times), found)


def instant(us: int) -> datetime:
    """Microseconds since 1970 as a time, exactly."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)
