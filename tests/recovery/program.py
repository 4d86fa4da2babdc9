"""The binary as the tests run it: to its end, or until a signal ends it.

It must never look into a lake by itself: what a run left there is `tables`' to say.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

MODELS = Path(__file__).parents[2] / "models"
END_SECONDS_MAX = 120.0
TRANSACTIONS = "banking_server.transaction"


class Run:
    """A process that is still under way, its two outputs in files."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.out, self.err = folder / "out.log", folder / "err.log"
        self._first_epoch = threading.Event()
        with self.err.open("wb") as err:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=err)
        self._reader = threading.Thread(target=self._copy, daemon=True)
        self._reader.start()

    def _copy(self) -> None:
        with self.out.open("wb") as out:
            for line in self.process.stdout:
                out.write(line)
                if line.startswith(b"epoch "):
                    self._first_epoch.set()
        self._first_epoch.set()

    def wait_for_epoch(self) -> None:
        """Returns once it printed an epoch, or ended."""
        assert self._first_epoch.wait(END_SECONDS_MAX), f"no epoch: {self.errors()}"

    def kill(self) -> int:
        """kill -9; the exit code, which is that of its own end where that came first."""
        self.process.kill()
        return self.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def wait(self, seconds: float = END_SECONDS_MAX) -> int:
        """The exit code; a run that does not end in time is killed, and fails the test."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still running after {seconds:g} s:\n{self.errors()}") from None
        self._reader.join(10)
        return code

    def errors(self) -> str:
        """What it wrote to standard error so far."""
        return self.err.read_text(errors="replace")


class Program:
    """The binary with the environment and folder of one test."""

    def __init__(self, binary: Path, folder: Path, environment: dict[str, str] | None = None):
        self.binary, self.folder = binary, folder
        drop = ("FRESHET_", "AWS_", "RUST_LOG")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
        self.environment = kept | (environment or {})
        self._runs = 0

    def spawn(self, *arguments, **variables: str) -> Run:
        """Starts it and comes back at once."""
        self._runs += 1
        folder = self.folder / f"run-{self._runs}"
        folder.mkdir(parents=True)
        command = [str(self.binary), *map(str, arguments)]
        return Run(command, self.environment | variables, folder)

    def run(self, *arguments, seconds: float = END_SECONDS_MAX, **variables: str):
        """Runs it to its end: (exit code, standard error)."""
        run = self.spawn(*arguments, **variables)
        code = run.wait(seconds)
        return code, run.errors()

    def expect(self, code: int, *arguments, **variables: str) -> str:
        """Runs it to its end, which must be this exit code; what it said on standard error."""
        found, said = self.run(*arguments, **variables)
        assert found == code, f"exit code {found} instead of {code}: {arguments}\n{said}"
        return said

    def status(self, lake: str) -> dict:
        """`freshet status --json` of a lake."""
        run = self.spawn("status", "--json", "--lake", lake)
        assert run.wait() == 0, run.errors()
        return json.loads(run.out.read_text())

    def sql(self, lake: str, query: str) -> list[dict]:
        """Rows of `freshet sql`."""
        run = self.spawn("sql", query, "--lake", lake, "--format", "json")
        assert run.wait() == 0, run.errors()
        return [json.loads(line) for line in run.out.read_text().splitlines()]


def project_with(folder: Path, texts: dict[str, str]) -> Path:
    """The bank's project with these files added, or in place of its own."""
    shutil.copytree(MODELS, folder)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


def replaying(capture: Path, lake: Path, rows: int = 60) -> list[str]:
    """The arguments of a replay of `capture` into `lake`, in epochs of `rows`."""
    return ["replay", str(capture), "--lake", str(lake), "--epoch-rows", str(rows),
            "--transaction-topic", TRANSACTIONS]
