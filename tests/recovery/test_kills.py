"""Law 2 at random points: kill -9 at moments drawn at random, on a local lake and on MinIO with a
real Kafka; servers that go away in the middle; and what catch-up's exit codes say.

FRESHET_SEED repeats the moments as far as a machine can repeat them. FRESHET_LONG=1 kills 50 times.
"""

import os
import random
import time
import uuid

import pytest
from stack.server import wait_until

from .conftest import LONG
from .program import Program, replaying
from .tables import Lake, assert_same
from .topics import write_config

KILLS = 50 if LONG else 12
KILLS_ON_SERVERS = 50 if LONG else 5
ALIVE_SECONDS = (0.05, 1.5)


@pytest.fixture
def moments():
    """Seconds to live, at random; the seed is told when a test fails."""
    seed = int(os.environ.get("FRESHET_SEED") or random.randrange(1 << 32))
    print(f"FRESHET_SEED={seed}")
    drawn = random.Random(seed)
    return lambda: drawn.uniform(*ALIVE_SECONDS)


def test_local_lake(program, capture, reference, moments, tmp_path):
    """Half of the kills hit the start and its recovery, half the epochs after it."""
    lake, killed = tmp_path / "lake", 0
    arguments = replaying(capture, lake)
    for number in range(KILLS):
        run = program.spawn(*arguments)
        if number % 2:
            run.wait_for_epoch()
        time.sleep(moments() / (4 if LONG else 1))
        killed += run.kill() == -9
    assert killed > KILLS // 2, "most runs ended before they were killed: the capture is too short"
    program.expect(0, *arguments)
    assert_same(program, Lake(lake), reference)


class Service:
    """serve and catch-up on a lake of their own on MinIO, reading the captured topics."""

    def __init__(self, freshet, folder, kafka, minio, **changed) -> None:
        self.program = Program(freshet, folder / "runs", {
            "AWS_ACCESS_KEY_ID": minio.access_key, "AWS_SECRET_ACCESS_KEY": minio.secret_key,
            "AWS_ENDPOINT_URL": minio.url, "AWS_ALLOW_HTTP": "true"})
        self.lake = Lake(f"s3://freshet/{folder.name}-{uuid.uuid4().hex[:8]}", minio)
        self.config = write_config(folder / "freshet.toml", kafka.bootstrap, self.lake.url,
                                   endpoint=minio.url, **changed)

    def serve(self):
        return self.program.spawn("serve", "--config", self.config)

    def catch_up(self, code: int = 0) -> str:
        return self.program.expect(code, "catch-up", "--config", self.config)

    def epoch(self) -> int:
        """The last decided epoch; 0 on a lake without one."""
        keys = self.lake.minio.keys(self.lake.url.removeprefix("s3://freshet/") + "/_freshet/epochs/")
        return max((int(key.rsplit("/", 1)[1].removesuffix(".json")) for key in keys), default=0)

    def await_epochs(self, more: int, run, seconds: float = 60.0) -> None:
        """Waits until this many further epochs are decided."""
        wanted = self.epoch() + more

        def decided() -> bool:
            assert run.running, f"it ended with {run.wait()}:\n{run.errors()}"
            return self.epoch() >= wanted

        wait_until(decided, seconds, f"epoch {wanted}: {run.errors()[-2000:]}")


@pytest.fixture
def service(freshet, tmp_path, topics, minio) -> Service:
    return Service(freshet, tmp_path, topics, minio)


def test_real_servers(service, reference, moments):
    """serve dies under load, again and again; an expired lease lets the next one in."""
    killed = 0
    for number in range(KILLS_ON_SERVERS):
        run = service.serve() if number % 3 else service.program.spawn(
            "catch-up", "--config", service.config)
        if number % 2 == 0:
            before, wait = service.epoch(), run
            wait_until(lambda: not wait.running or service.epoch() > before, 60, "an epoch")  # noqa: B023
        time.sleep(moments())
        killed += run.kill() == -9
        free_lease(service)
    assert killed, "every run ended before it was killed"
    service.catch_up()
    assert_same(service.program, service.lake, reference)


def free_lease(service) -> None:
    """Waits until the dead holder's lease has run out."""
    prefix = service.lake.url.removeprefix("s3://freshet/")

    def expired() -> bool:
        objects = service.lake.minio.keys(f"{prefix}/_freshet/lease.json")
        if not objects:
            return True
        import json
        body = service.lake.minio.s3.get_object(Bucket="freshet", Key=objects[0])["Body"].read()
        return json.loads(body)["expires_ms"] < time.time() * 1000

    wait_until(expired, 30, "the lease's end")
