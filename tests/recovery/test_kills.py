"""Law 2 at random points: kill -9 at moments drawn at random, on a local lake and on MinIO with a
real Kafka; servers that go away in the middle; and what catch-up's exit codes say (test_errors has
those of what is wrong).

FRESHET_SEED repeats the moments as far as a machine can repeat them. FRESHET_LONG=1 kills 50 times
and more, on several lakes, since none lives through so many moments of load.
"""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from stack.kafka import Kafka
from stack.server import wait_until

from .conftest import LONG
from .program import replaying
from .service import Service
from .tables import Lake, assert_same, contents, differences
from .topics import create, put, records

MODELS = Path(__file__).parents[2] / "models"
KILLS, LAKES = 12, 5 if LONG else 1
KILLS_ON_SERVERS, LAKES_ON_SERVERS = 5, 10 if LONG else 1
ALIVE_SECONDS = (0.05, 1.5)
# So small that the capture outlasts the kills.
SMALL_EPOCHS = 12


@pytest.fixture
def moments():
    """Seconds to live, at random; the seed is told when a test fails."""
    seed = int(os.environ.get("FRESHET_SEED") or random.randrange(1 << 32))
    print(f"FRESHET_SEED={seed}")
    drawn = random.Random(seed)
    return lambda: drawn.uniform(*ALIVE_SECONDS)


@pytest.mark.parametrize("_lake", range(LAKES))
def test_local_lake(program, capture, reference, moments, tmp_path, _lake):
    """Half of the kills hit the start and its recovery, half the epochs after it."""
    lake, killed = tmp_path / "lake", 0
    arguments = replaying(capture, lake, SMALL_EPOCHS)
    for number in range(KILLS):
        run = program.spawn(*arguments)
        if number % 2:
            run.wait_for_epoch()
        time.sleep(moments())
        killed += run.kill() == -9
    assert killed > KILLS // 2, "most runs ended before they were killed: the capture is too short"
    program.expect(0, *arguments)
    assert_same(program, Lake(lake), reference)


@pytest.fixture
def service(freshet, tmp_path, topics, minio) -> Service:
    return Service(freshet, tmp_path, topics, minio)


@pytest.mark.parametrize("_lake", range(LAKES_ON_SERVERS))
def test_real_servers(service, reference, moments, _lake):
    """serve dies under load, again and again; an expired lease lets the next one in."""
    killed = 0
    for number in range(KILLS_ON_SERVERS):
        if service.events() == reference["totals"]["events"]:
            break
        run = service.serve() if number % 3 else service.program.spawn(
            "catch-up", "--config", service.config)
        if number % 2 == 0:
            service.await_epochs(run)
        time.sleep(moments())
        killed += run.kill() == -9
        service.await_free_lease()
    assert killed, "every run ended before it was killed"
    service.catch_up()
    assert_same(service.program, service.lake, reference)


@pytest.fixture
def broker():
    """A Kafka of the test's own, still without topics."""
    server = Kafka().start()
    yield server
    server.remove()


def test_servers_restart_under_serve(freshet, capture, reference, broker, minio, tmp_path):
    """Kafka and MinIO go away while serve runs: it waits for each, and goes on by itself."""
    found = records(capture)
    third = len(found) // 3
    create(broker, found)
    put(broker, found[:third])
    service = Service(freshet, tmp_path / "restarts", broker, minio)
    run = service.serve()
    service.await_epochs(run, 2)
    broker.kill()
    broker.start()
    before = service.epoch()
    put(broker, found[third:2 * third])
    wait_until(lambda: not run.running or service.epoch() > before, 60, "an epoch after the broker")
    said = len(run.errors())
    minio.kill()
    put(broker, found[2 * third:])
    wait_until(lambda: "unavailable" in run.errors()[said:], 60, "word of the missing lake")
    assert run.running, run.errors()
    minio.start()
    # The last third came after MinIO went: to be at its end, the same run must have gone on.
    wait_until(lambda: service.program.status(service.lake.url)["offsets"] == reference["offsets"],
               120, "the end of the topics")
    run.signal(signal.SIGTERM)
    assert run.wait(10) == 0, run.errors()
    service.catch_up()
    assert_same(service.program, service.lake, reference)


def test_exit_codes(service, reference, topics, minio):
    """catch-up: 3 without Kafka, 3 without MinIO, 0 when all is read, and 0 again."""
    topics.stop()
    said = service.catch_up(3)
    assert topics.bootstrap in said, said
    topics.start()
    minio.stop()
    said = service.catch_up(3)
    assert minio.url in said or str(minio.port) in said, said
    minio.start()
    service.catch_up(0)
    assert_same(service.program, service.lake, reference)
    epoch = service.epoch()
    service.catch_up(0)
    assert service.epoch() == epoch


def test_exit_code_of_a_failed_test(freshet, tmp_path, topics, reference):
    """catch-up: 1 as long as a data test fails, named, though every table is there and right."""
    models = shutil.copytree(MODELS, tmp_path / "models")
    (models / "tests" / "no_day.sql").write_text("select * from {{ ref('dim_date') }}")
    service = Service(freshet, tmp_path / "failing", topics, models=models, rows=1000)
    for _ in range(2):
        said = service.catch_up(1)
        assert "test failed: no_day (" in said, said
    found = contents(service.program, service.lake)
    assert found["tests"].pop("no_day") == "fail"
    assert not differences(found, reference)
