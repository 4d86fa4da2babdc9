"""Fixtures of the recovery tests: captured records, what an undisturbed run makes of them, topics.

The capture is made once for all tests; nothing here changes it.
"""

import os
from pathlib import Path

import pytest

pytest.importorskip("deltalake", reason="python packages are missing: run tests/install")
pytest.importorskip("confluent_kafka", reason="python packages are missing: run tests/install")

from .program import Program, replaying  # noqa: E402
from .tables import Lake, contents  # noqa: E402

LONG = bool(os.environ.get("FRESHET_LONG"))


@pytest.fixture
def program(freshet, tmp_path) -> Program:
    """The binary, with a folder of this test."""
    return Program(freshet, tmp_path / "runs")


@pytest.fixture(scope="session")
def capture(freshet, tmp_path_factory) -> Path:
    """A second of the bank's life with its initial read, redeliveries included."""
    folder = tmp_path_factory.mktemp("capture")
    path = folder / "records.json"
    Program(freshet, folder).expect(0, "demo", "--seconds", 1, "--rate", 600, "--seed", 7,
                                    "--capture", path, "--lake", folder / "demo")
    assert path.stat().st_size > 100_000
    return path


@pytest.fixture(scope="session")
def reference(freshet, capture, tmp_path_factory) -> dict:
    """What an undisturbed replay of the capture makes: tables.contents."""
    folder = tmp_path_factory.mktemp("reference")
    program, lake = Program(freshet, folder), folder / "lake"
    program.expect(0, *replaying(capture, lake))
    found = contents(program, Lake(lake))
    assert len(found) > 20 and found["raw/accounts"] and found["totals"]["redelivered"]
    return found


@pytest.fixture(scope="session")
def topics(kafka, capture):
    """The captured records in the topics of a real Kafka, at the same partitions and offsets."""
    from .topics import fill

    fill(kafka, capture)
    return kafka
