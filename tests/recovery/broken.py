"""Records that nobody can decode, each with what its dead letter must say, and captures that hold
them in their middle. They lie in a partition of their own, so that all other offsets stay.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

CUSTOMERS = "banking_server.public.customers"
PARTITION = 3


@dataclass
class Broken:
    """A record's key and value, and words of the reason in its dead letter."""

    key: bytes | None
    value: bytes
    reason: str


def records(capture: Path) -> list[Broken]:
    """One of each kind."""
    create = first_create(capture) | {"transaction": None}
    image = create["after"] | {"id": "seven"}
    wrong_type = dumped(create | {"after": image})
    no_key = dumped(create | {"op": "d", "after": None, "before": None})
    flattened, text = b'{"id":1,"first_name":"Ada"}', b"this is no json"
    key, avro = b'{"id":1}', bytes(5) + b"\x06Ada"
    return [
        Broken(key, text, "no JSON object"),
        Broken(key, flattened, "no `op`"),
        Broken(key, avro, "looks like Avro"),
        Broken(b'{"id":"seven"}', wrong_type, "column `id`"),
        Broken(None, no_key, "a delete without"),
    ]


def first_create(capture: Path) -> dict:
    """The first customer that was created in the stream."""
    for line in capture.read_text().splitlines():
        record = json.loads(line)
        if record["topic"] == CUSTOMERS and record["payload"]:
            value = json.loads(record["payload"])
            if value["op"] == "c":
                return value
    raise AssertionError("the capture holds no new customer")


def dumped(value: dict) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def line(offset: int, key: bytes | None, value: bytes) -> str:
    """A captured record, as `kcat -J` and the engine write it."""
    coded = base64.b64encode(value).decode()
    return json.dumps({"topic": CUSTOMERS, "partition": PARTITION, "offset": offset, "ts": 0,
                       "key": key.decode() if key else None, "payload_base64": coded})


def insert(capture: Path, into: Path, lines: list[str]) -> Path:
    """A copy of the capture with `lines` after four fifths of it: while the bank is at work."""
    whole = capture.read_text().splitlines()
    at = len(whole) * 4 // 5
    into.write_text("\n".join([*whole[:at], *lines, *whole[at:]]) + "\n")
    return into
