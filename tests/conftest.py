"""Fixtures for every Python test: the real servers, started at their first use, and the binary.

Each lives as long as the run. A part that is not on this machine skips the tests that ask for it,
with the reason; run pytest with -rs to see them. It must never hide a part that is there and broken.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_configure(config) -> None:
    # A run that is told to end does so as after Ctrl-C, and ends its servers on the way: `atexit`
    # does not run when a signal ends Python.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def started(make):
    """A running server made by `make`, or a skipped test with the reason."""
    try:
        from stack.cache import Missing
        server = make()
    except ModuleNotFoundError as error:
        pytest.skip(f"python package {error.name} is missing: run tests/install")
    except Missing as error:
        pytest.skip(str(error))
    return server.start()


@pytest.fixture(scope="session")
def postgres():
    """PostgreSQL with the empty bank: stack.postgres.Postgres."""
    def make():
        from stack.postgres import Postgres
        return Postgres()

    server = started(make)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def kafka():
    """One broker: stack.kafka.Kafka."""
    def make():
        from stack.kafka import Kafka
        return Kafka()

    server = started(make)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def connect(kafka, postgres):
    """Connect with Debezium, no connector yet: stack.connect.Connect."""
    def make():
        from stack.connect import Connect
        return Connect(kafka, postgres)

    server = started(make)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def minio():
    """MinIO with the empty bucket `freshet`: stack.minio.Minio."""
    def make():
        from stack.minio import Minio
        return Minio()

    server = started(make)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def freshet() -> Path:
    """The binary under test: $FRESHET_BIN, else the debug build."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or Path(__file__).parent.parent / "target")
    binary = Path(os.environ.get("FRESHET_BIN") or target / "debug" / "freshet")
    if not binary.exists():
        pytest.skip(f"the binary is missing: {binary} (set FRESHET_BIN, or run cargo build)")
    return binary.resolve()
