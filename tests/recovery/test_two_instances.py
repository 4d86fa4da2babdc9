"""Two instances on one lake: one decides, the other is refused or fenced, and nothing is doubled.

On a folder the operating system's lock tells; on MinIO a lease that runs out, and behind it the
decision's create-if-absent, which holds even against an instance that slept through a takeover.
"""

import json
import signal

import pytest
from stack.server import wait_until

from .service import Service
from .tables import assert_same

# 10 are promised; a machine under load gets half as much again.
STOP_SECONDS_MAX = 15.0
FENCED = 4


@pytest.fixture
def local(freshet, tmp_path, topics) -> Service:
    return Service(freshet, tmp_path / "local", topics)


@pytest.fixture
def shared(freshet, tmp_path, topics, minio) -> Service:
    return Service(freshet, tmp_path / "shared", topics, minio)


def test_second_on_a_folder_is_refused(local, reference):
    first = local.serve()
    local.await_epochs(first)
    said = local.program.expect(FENCED, "serve", "--config", local.config)
    assert "another instance" in said and "lease.lock" in said, said
    said = local.catch_up(FENCED)
    assert "another instance" in said, said
    assert first.running
    first.signal(signal.SIGTERM)
    assert first.wait(STOP_SECONDS_MAX) == 0, first.errors()
    local.catch_up()
    assert_same(local.program, local.lake, reference)


def test_second_on_minio_is_refused_while_the_lease_is_fresh(shared, reference):
    first = shared.serve()
    shared.await_epochs(first)
    said = shared.catch_up(FENCED)
    assert "another instance" in said and "second" in said, said
    # What ends in order gives the lease back: the next one need not wait.
    first.signal(signal.SIGTERM)
    assert first.wait(STOP_SECONDS_MAX) == 0, first.errors()
    assert shared.lease()["expires_ms"] == 0
    shared.catch_up()
    assert_same(shared.program, shared.lake, reference)


@pytest.mark.parametrize("epochs", [1, 4])
def test_sleeper_is_fenced(shared, reference, epochs):
    """The first sleeps for longer than its lease; the second takes over; the first wakes."""
    first = shared.serve()
    shared.await_epochs(first, epochs)
    first.signal(signal.SIGSTOP)
    try:
        shared.await_free_lease()
        second = shared.serve()
        shared.await_epochs(second, 2)
        assert second.running, second.errors()
    finally:
        first.signal(signal.SIGCONT)
    assert first.wait(60) == FENCED, first.errors()
    assert "another instance" in first.errors(), first.errors()
    wait_until(lambda: shared.program.status(shared.lake.url)["offsets"] == reference["offsets"],
               120, "the end of the topics")
    second.signal(signal.SIGTERM)
    assert second.wait(STOP_SECONDS_MAX) == 0, second.errors()
    generations = {decision["generation"] for decision in shared.lake.decisions()}
    assert len(generations) == 2
    shared.catch_up()
    assert_same(shared.program, shared.lake, reference)


def test_stolen_lease_is_noticed(shared, reference):
    """A lease that another writer's hand took fences its holder, though nothing was decided."""
    first = shared.serve()
    shared.await_epochs(first)
    held = shared.lease() | {"holder": "somebody else", "expires_ms": 0}
    bucket, prefix = shared.lake.url.removeprefix("s3://").split("/", 1)
    shared.lake.minio.s3.put_object(Bucket=bucket, Key=f"{prefix}/_freshet/lease.json",
                                    Body=json.dumps(held).encode())
    assert first.wait(60) == FENCED, first.errors()
    shared.catch_up()
    assert_same(shared.program, shared.lake, reference)


def test_sigterm_under_load(local, reference):
    """Told to end again and again: each time with 0 and in time, and the next start goes on."""
    epochs = []
    for _ in range(3):
        run = local.serve()
        local.await_epochs(run, 2)
        run.signal(signal.SIGTERM)
        assert run.wait(STOP_SECONDS_MAX) == 0, run.errors()
        epochs.append(local.epoch())
    assert epochs == sorted(set(epochs)), epochs
    local.catch_up()
    assert_same(local.program, local.lake, reference)


def test_sigterm_while_the_lake_hangs(shared, reference, minio):
    """A server that takes a request and never answers does not hold the stop up."""
    run = shared.serve()
    shared.await_epochs(run, 2)
    minio.process.send_signal(signal.SIGSTOP)
    try:
        run.signal(signal.SIGTERM)
        assert run.wait(STOP_SECONDS_MAX) == 0, run.errors()
    finally:
        minio.process.send_signal(signal.SIGCONT)
    shared.await_free_lease()
    shared.catch_up()
    assert_same(shared.program, shared.lake, reference)
