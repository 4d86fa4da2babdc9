"""`serve` and `catch-up` on a lake of their own, reading topics of a real Kafka.

The lake lies on MinIO, or in a folder where no MinIO is given.
"""

import json
import time
import uuid
from pathlib import Path

from stack.server import wait_until

from .program import Program, Run
from .tables import Lake
from .topics import write_config

BUCKET = "freshet"


class Service:
    """A configuration, its lake, and the program with what it needs in its environment."""

    def __init__(self, binary: Path, folder: Path, kafka, minio=None, **changed) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        environment, endpoint, url = {}, None, str(folder / "lake")
        if minio:
            environment = {"AWS_ACCESS_KEY_ID": minio.access_key, "AWS_ENDPOINT_URL": minio.url,
                           "AWS_SECRET_ACCESS_KEY": minio.secret_key}
            endpoint, url = minio.url, f"s3://{BUCKET}/{folder.name}-{uuid.uuid4().hex[:8]}"
        self.program = Program(binary, folder / "runs", environment)
        self.lake = Lake(url, minio)
        self.config = write_config(folder / "freshet.toml", kafka.bootstrap, url,
                                   endpoint=endpoint, **changed)

    def serve(self) -> Run:
        return self.program.spawn("serve", "--config", self.config)

    def catch_up(self, code: int = 0) -> str:
        """Runs catch-up, which must end with this exit code; what it said."""
        return self.program.expect(code, "catch-up", "--config", self.config)

    def epoch(self) -> int:
        """The last decided epoch; 0 on a lake without one."""
        names = self.lake.names("_freshet/epochs")
        return max((int(Path(name).stem) for name in names), default=0)

    def events(self) -> int:
        """Changes that were taken in so far."""
        return self.program.status(self.lake.url).get("totals", {}).get("events", 0)

    def await_epochs(self, run: Run, more: int = 1, seconds: float = 60.0) -> None:
        """Waits until this many further epochs are decided, or the run has ended."""
        wanted = self.epoch() + more
        wait_until(lambda: not run.running or self.epoch() >= wanted, seconds,
                   f"epoch {wanted} of {self.lake.url}")

    def lease(self) -> dict | None:
        """Who holds the lake on MinIO, if anybody ever did."""
        found = self.lake.objects("_freshet/lease.json")
        return json.loads(found["_freshet/lease.json"]) if found else None

    def await_free_lease(self) -> None:
        """Waits until a dead holder's lease has run out."""

        def free() -> bool:
            held = self.lease()
            return held is None or held["expires_ms"] < time.time() * 1000

        wait_until(free, 30, "the end of the lease")
