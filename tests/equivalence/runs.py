"""Captures and what the engine makes of them: `freshet demo` and `freshet replay`, as typed.

A capture is either a life of our own through wire.py, or the demo's own bank with its faults.
Every name says its seeds, so that a failure can be repeated at a desk.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from .lake import Lake
from .life import Bank
from .wire import TRANSACTION_TOPIC, Wire

MODELS = Path(__file__).parent.parent.parent / "models"
RUN_SECONDS_MAX = 180


@dataclass(frozen=True)
class Cut:
    """How a capture is replayed: everything that must not matter."""

    seed: int | None
    rows: int
    interleave: int | None

    def __str__(self) -> str:
        return f"cut-{self.seed}-rows-{self.rows}-interleave-{self.interleave}"


# A short life in very many epochs: reads in parts, deletion vectors, Delta checkpoints.
TINY_LIFE = (9, 60)
TINY = Cut(seed=9, rows=6, interleave=9)


class Runs:
    """A workshop in one folder: captures and lakes are made once and shared by all tests."""

    def __init__(self, freshet: Path, folder: Path) -> None:
        self.freshet = freshet
        self.folder = folder

    def life(self, seed: int, transactions: int, steady_clock: bool = False) -> tuple[Bank, Path]:
        """A life of our own, and its capture."""
        bank = Bank(seed, steady_clock).live(transactions)
        path = self.folder / f"life-{seed}-{transactions}-{steady_clock}.jsonl"
        if not path.exists():
            Wire(bank, seed).write(path)
        return bank, path

    def demo(self, seed: int) -> Path:
        """A second of the demo's bank, captured."""
        path = self.folder / f"demo-{seed}.jsonl"
        if not path.exists():
            self.run("demo", "--seconds", 1, "--rate", 400, "--seed", seed, "--json",
                     "--lake", self.folder / f"demo-{seed}-lake", "--capture", path)
        return path

    def replay(self, capture: Path, cut: Cut, models: Path = MODELS) -> Lake:
        """The capture through the whole line, cut and interleaved so."""
        other = "" if models == MODELS else f"-{models.parent.name}"
        root = self.folder / f"{capture.stem}-{cut}{other}"
        if not root.exists():
            options = ["--models", models, "--transaction-topic", TRANSACTION_TOPIC,
                       "--epoch-rows", cut.rows]
            if cut.seed is not None:
                options += ["--cut-seed", cut.seed]
            if cut.interleave is not None:
                options += ["--interleave-seed", cut.interleave]
            self.run("replay", capture, "--lake", root, *options)
        return Lake(root)

    def sql(self, lake: Lake, query: str) -> str:
        """What `freshet sql` answers: one JSON object a line."""
        return self.run("sql", query, "--lake", lake.root, "--format", "json")

    def run(self, *arguments) -> str:
        command = [str(self.freshet), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder,
                              stdin=subprocess.DEVNULL, timeout=RUN_SECONDS_MAX)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[-3000:]}"
        return done.stdout
