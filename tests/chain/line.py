"""freshet itself, as an operator runs it: a configuration, the service, and the commands beside it.

It must never wait for longer than it says, and never leave the service running.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from stack.minio import BUCKET
from stack.postgres import DATABASE, USER
from stack.server import ServerError

MODELS = Path(__file__).parent.parent.parent / "models"
PREFIX = "banking_server"
TABLES = ("customers", "accounts", "transactions")
COMMAND_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 20.0
FENCED = 4  # the exit code for: another instance runs
CONFIG = """\
[kafka]
brokers = "{brokers}"
prefix = "{prefix}"
discovery_interval_ms = 1000
[epoch]
idle_partition_ms = 3000
[lake]
url = "s3://{bucket}/chain"
s3_endpoint = "{endpoint}"
[models]
dir = "{models}"
[checkpoint]
lease_seconds = 5
[connector]
url = "{connect}"
"""


class Line:
    """One freshet on real servers, with a copy of the models that a test may change."""

    def __init__(self, binary: Path, folder: Path, postgres, kafka, connect, minio) -> None:
        self.binary, self.folder, self.postgres = binary, folder, postgres
        self.models = folder / "models"
        shutil.copytree(MODELS, self.models)
        self.config = folder / "freshet.toml"
        self.config.write_text(CONFIG.format(
            brokers=kafka.bootstrap, prefix=PREFIX, bucket=BUCKET, endpoint=minio.url,
            models=self.models, connect=connect.url))
        self.environment = minio.client_environment() | {
            "PGPASSWORD": postgres.password, "RUST_BACKTRACE": "0"}
        self.log = folder / "freshet.log"
        self.service: subprocess.Popen | None = None

    @property
    def database(self) -> str:
        return f"postgresql://{USER}@{self.postgres.host}:{self.postgres.port}/{DATABASE}"

    def run(self, *arguments) -> str:
        """Runs a command to its end; what it prints, or an error with what it complained of."""
        return run(self.binary, "--config", self.config, *arguments, environment=self.environment)

    def start_program(self, *arguments) -> subprocess.Popen:
        """Starts a command that runs until it is told to end; it writes to the log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [self.binary, "--config", self.config, *map(str, arguments)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment)

    def start(self) -> None:
        """Starts the service."""
        self.service = self.start_program("serve")

    def keep_running(self) -> None:
        """Starts it again while it meets the lease of one that was killed, as a supervisor does."""
        code = self.service.poll()
        if code == FENCED:
            self.start()
        elif code is not None:
            raise ServerError(f"freshet ended with {code}\n{self.log.read_text()[-2000:]}")

    def stop(self) -> None:
        """SIGTERM, which it must follow within the time that design and help promise."""
        self.service.terminate()
        code = self.service.wait(STOP_SECONDS_MAX)
        assert code == 0, f"freshet ended with {code}"

    def kill(self) -> None:
        """kill -9, wherever it stands."""
        if self.service and self.service.poll() is None:
            self.service.kill()
            self.service.wait()

    def status(self) -> dict:
        return json.loads(self.run("status", "--json"))

    def write_sources(self) -> None:
        """Takes the columns of the database into the models' sources file."""
        self.run("sources", "--postgres", self.database, "--tables", ",".join(TABLES),
                 "--out", self.models / "staging" / "_sources.yml")


def run(binary: Path, *arguments, environment: dict[str, str] | None = None) -> str:
    """Runs freshet to its end; what it prints, or ServerError with its last words."""
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True,
                          env=environment or os.environ, timeout=COMMAND_SECONDS_MAX)
    if done.returncode:
        raise ServerError(f"freshet {arguments[0]} ended with {done.returncode}: "
                          f"{done.stderr[-2000:]}")
    return done.stdout
