"""Law 2 at every arrow of the loop: the engine dies at each failpoint, at its first, second, fifth
and last pass, is started again, and every table is that of an undisturbed run.

A debug build alone has failpoints; the list is read from the engine, so that a new one is tested.
"""

import re
import shutil
import signal
from pathlib import Path

import pytest

from .conftest import LONG
from .program import replaying
from .tables import Lake, assert_same

SOURCE = Path(__file__).parents[2] / "engine" / "src" / "failpoint.rs"
ROWS = 60 if LONG else 150
PASSES = (1, 2, 5)
ATTEMPTS_MAX = 4


def names() -> list[str]:
    """Every failpoint, as the engine lists them."""
    listed = re.search(r"NAMES: \[&str; (\d+)\] =\s*\[(.*?)\];", SOURCE.read_text(), re.DOTALL)
    found = re.findall(r'"([a-z-]+)"', listed[2])
    assert len(found) == int(listed[1]) > 0
    return found


class Victim:
    """A lake whose engine is killed at failpoints, one after another."""

    def __init__(self, program, capture, folder) -> None:
        self.program, self.capture, self.lake = program, capture, Lake(folder)
        self.arguments = replaying(capture, folder, ROWS)
        self.deaths = 0

    def dies_at(self, name: str, number: int) -> bool:
        """Whether it died there; otherwise it must have come to its end."""
        code, said = self.program.run(*self.arguments, FRESHET_FAILPOINT=f"{name}:{number}")
        assert code in (0, -signal.SIGABRT), f"{name}:{number}: exit code {code}\n{said}"
        self.deaths += code != 0
        return code != 0

    def die_at(self, name: str, number: int) -> None:
        assert self.dies_at(name, number), f"{name}:{number} was not reached"

    def finish(self) -> None:
        self.program.expect(0, *self.arguments)


def passes(name: str, decisions: list[dict]) -> int:
    """How often a run that decides these epochs passes a failpoint."""
    if name == "recovered":
        return 1
    if name == "entry-put":
        return sum(len(decision["entries"]) for decision in decisions)
    return len(decisions)


def die_at_last(name: str, victim: Victim, spare: Path) -> None:
    """Kills at the last pass, which a run to the end is counted for.

    Where an initial read ends depends on when the source answers, so two runs can cut differently:
    a run that missed its last pass tells the number for the next one.
    """
    before = victim.lake.decisions()
    shutil.copytree(victim.lake.url, spare)
    victim.finish()
    for _ in range(ATTEMPTS_MAX):
        number = passes(name, victim.lake.decisions()[len(before):])
        if name in ("applied", "entry-put"):
            # A start applies the last decision once more.
            number += len(before[-1]["entries"]) if name == "entry-put" else 1
        shutil.rmtree(victim.lake.url)
        shutil.copytree(spare, victim.lake.url)
        if victim.dies_at(name, number):
            return
    raise AssertionError(f"{name}: its last pass was not met")


@pytest.mark.parametrize("name", names())
def test_killed_at(name, program, capture, reference, tmp_path):
    victim = Victim(program, capture, tmp_path / "lake")
    for number in PASSES:
        # A run recovers once, so its second pass is that of the next run.
        victim.die_at(name, 1 if name == "recovered" else number)
    die_at_last(name, victim, tmp_path / "spare")
    victim.finish()
    assert victim.deaths == len(PASSES) + 1
    assert_same(program, victim.lake, reference)


def test_killed_at_all_in_a_row(program, capture, reference, tmp_path):
    """Recovery itself dies, and what recovers from that dies too."""
    victim = Victim(program, capture, tmp_path / "lake")
    for name in names():
        victim.die_at(name, 1)
    victim.die_at("decided", 2)
    for name in ("recovered", "entry-put", "applied", "recovered", "cut"):
        victim.die_at(name, 1)
    victim.die_at("entry-put", 30)
    victim.die_at("entry-put", 3)
    victim.finish()
    assert_same(program, victim.lake, reference)
    # Another run finds nothing to do, and changes nothing.
    epoch = program.status(victim.lake.url)["epoch"]
    victim.finish()
    assert program.status(victim.lake.url)["epoch"] == epoch
    assert_same(program, victim.lake, reference)
