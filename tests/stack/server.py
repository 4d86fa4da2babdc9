"""What every real server shares: a process, a folder, a port, a log, and an end.

Ports are free ones on loopback, chosen once, so that a restarted server is found where it was. It
must never leave a process behind: `atexit` ends what a test forgot.
"""

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

POLL_SECONDS = 0.1
LOG_TAIL_BYTES = 2000


class ServerError(Exception):
    """A server did not come up, went away, or did not stop in time; with the end of its log."""


def free_port() -> int:
    """A loopback port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(done: Callable[[], object], seconds: float, what: str):
    """What `done` returns once that is true, polled; ServerError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if result := done():
            return result
        if time.monotonic() > deadline:
            raise ServerError(f"{what}: not within {seconds:g} s")
        time.sleep(POLL_SECONDS)


class Server:
    """One server process. A subclass says how to prepare, what to run and when it is ready."""

    name = "server"
    start_seconds_max = 60.0
    stop_seconds_max = 30.0
    stop_signal = 15

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"freshet-{self.name}-"))
        self.log = self.folder / "server.log"
        self.process: subprocess.Popen | None = None
        self.user: str | None = None
        self.started_seconds = 0.0
        self._prepared = False
        atexit.register(self.remove)

    # What a subclass gives.

    def prepare(self) -> None:
        """Runs once, before the first start."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Variables beside those of this process."""
        return {}

    def ready(self) -> bool:
        raise NotImplementedError

    # What every server can do.

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        running = self.process is not None and self.process.poll() is None
        return self.process.pid if running else None

    def start(self) -> "Server":
        """Starts it and waits until it is ready; `started_seconds` is how long that took."""
        if self.pid:
            return self
        began = time.monotonic()
        if not self._prepared:
            self.prepare()
            self._prepared = True
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=os.environ | self.environment(),
                user=self.user,
                group=self.user,
                extra_groups=[] if self.user else None,
            )
        try:
            wait_until(self._ready_or_gone, self.start_seconds_max, f"start of {self.name}")
        except BaseException as error:
            self.kill()
            if isinstance(error, ServerError):
                raise ServerError(f"{error}\n{self.log_tail()}") from error
            raise
        self.started_seconds = time.monotonic() - began
        return self

    def stop(self) -> None:
        """Asks it to end and waits; it is killed when it does not."""
        if not self.pid:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(self.stop_seconds_max)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(
                f"stop of {self.name}: not within {self.stop_seconds_max:g} s, killed\n"
                f"{self.log_tail()}"
            ) from None

    def kill(self) -> None:
        """kill -9: nothing is flushed. What it stored stays; `start` brings it back."""
        if self.pid:
            self.process.kill()
            self.process.wait()

    def restart(self) -> "Server":
        """Stop and start, on the same port and with what it stored."""
        self.stop()
        return self.start()

    def remove(self) -> None:
        """Ends it and deletes its folder; FRESHET_KEEP=1 keeps the folder for a look at its log."""
        self.kill()
        atexit.unregister(self.remove)
        if not os.environ.get("FRESHET_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return f"{self.log}: no log"
        text = self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        return f"the end of {self.log}:\n{text}"

    def _ready_or_gone(self) -> bool:
        if self.process.poll() is not None:
            raise ServerError(f"it exited with code {self.process.returncode}")
        return self.ready()
