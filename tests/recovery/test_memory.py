"""Tables that do not fit into memory: rows lie on the local disk in part, `status` says whose, and
every row is the one of a run that had room for all.

A bound of one byte gives tables the least they may hold, which the crowd's do not fit into. They
are moved to disk as the run goes, loaded from the lake straight to disk at the next start, and
changed and deleted from there.
"""

import re
import signal
from pathlib import Path

import pytest
from stack.server import wait_until

from equivalence.crowd import Crowd

from .program import Program, replaying
from .service import Service
from .topics import create, put, records

MODELS = Path(__file__).parents[2] / "models"
CUSTOMERS, ACCOUNTS = 40_000, 2_000
# An update of so many customers is recomputed, one of fewer followed.
MANY, FEWER = 14_000, 2_000
LEAST_BYTES = 16 << 20
LINE = re.compile(
    r"^tables hold (\d+) of (\d+) MiB(?:; (\d+) MiB have no room and are read from the local disk, "
    r"which is slower: (.*) \(raise memory\.bytes_max\))?$", re.MULTILINE)


class Tight:
    """A service whose tables may hold the least there is, and the bank that it reads."""

    def __init__(self, freshet, kafka, folder: Path) -> None:
        self.kafka, self.prefix = kafka, f"memory_{folder.name.replace('-', '_')}"
        self.crowd = Crowd(folder / "crowd.jsonl", CUSTOMERS, ACCOUNTS)
        self.reference = folder / "reference"
        self.sent = 0
        create(kafka, records(self.crowd.path, self.prefix))
        kafka.create_topic(f"{self.prefix}.transaction", partitions=1)
        self.send()
        self.service = Service(freshet, folder / "service", kafka, prefix=self.prefix, rows=10_000)
        self.cold = folder / "cold"
        self.cold.mkdir()
        with self.service.config.open("a") as config:
            config.write(f'[memory]\nbytes_max = 1\ncold_dir = "{self.cold}"\n')

    def send(self, *changes) -> None:
        """Commits these changes as one transaction, if any, and sends what was not sent yet."""
        if changes:
            self.crowd.commit(*changes)
        found = records(self.crowd.path, self.prefix)[self.sent:]
        put(self.kafka, found)
        self.sent += len(found)

    def all_taken(self) -> bool:
        """Whether every change so far is in an epoch."""
        bank = self.crowd.bank
        wanted = sum(map(len, bank.initial.values())) + sum(len(t.events) for t in bank.history)
        return self.service.events() == wanted

    def replay(self) -> dict:
        """The status of a lake that had room for all."""
        program = self.service.program
        program.expect(0, *replaying(self.crowd.path, self.reference, 10_000), "--models", MODELS)
        return program.status(str(self.reference))


def standing(status: dict) -> dict[str, tuple]:
    """Rows and digest of each table, by name: not how often it was committed to."""
    return {name: (table["rows"], table.get("digest")) for name, table in status["tables"].items()}


def line(program: Program, lake: str) -> tuple:
    """What `freshet status` says tables hold: MiB, of MiB, MiB on disk, and whose."""
    run = program.spawn("status", "--lake", lake)
    assert run.wait() == 0, run.errors()
    found = LINE.search(run.out.read_text())
    assert found, run.out.read_text()
    return found.groups()


@pytest.fixture
def tight(freshet, kafka, tmp_path) -> Tight:
    return Tight(freshet, kafka, tmp_path)


def check(tight: Tight) -> None:
    """The rows are those of a run with room, and `status` says where they lie."""
    program, lake = tight.service.program, tight.service.lake
    status, roomy = program.status(lake.url), tight.replay()
    assert standing(status) == standing(roomy)
    # Nor were they wrong for a while, until a proof found it.
    assert not lake.names("_freshet/proofs")
    memory, hot_bytes = status["memory"], roomy["memory"]["hot_bytes"]
    assert memory["bytes_max"] == LEAST_BYTES < hot_bytes
    assert memory["cold_bytes"] > 0 and memory["hot_bytes"] < hot_bytes
    assert set(memory["cold"]) <= set(status["tables"])
    hot, of, cold, tables = line(program, lake.url)
    assert (int(hot), int(of)) == (memory["hot_bytes"] >> 20, LEAST_BYTES >> 20)
    assert int(cold) == memory["cold_bytes"] >> 20 and tables == ", ".join(memory["cold"])
    hot, of, cold, tables = line(program, str(tight.reference))
    assert int(of) > int(hot) == hot_bytes >> 20 and (cold, tables) == (None, None)
    # What stays are copies of files that the lake has, and none that was left half written.
    copies = [path for path in tight.cold.rglob("*") if path.is_file()]
    assert copies and all(path.name.endswith(".arrow") for path in copies), copies
    for table, file in {path.parent.parts[-2:] for path in copies}:
        assert lake.names(f"{table.replace('.', '/', 1)}/{file}"), (table, file)


def test_rows_on_disk_are_the_same_rows(tight):
    run = tight.service.serve()
    tight.service.await_epochs(run)
    wait_until(lambda: not run.running or tight.all_taken(), 60, "the initial read")
    for count in (MANY, FEWER):
        moved = f"{{}}@{count}.example".format
        tight.send(lambda: tight.crowd.update("customers", count, "email", moved))
        wait_until(lambda: not run.running or tight.all_taken(), 60, f"{count} changes")
    run.signal(signal.SIGTERM)
    assert run.wait(15) == 0, run.errors()
    check(tight)
    # A start finds no room for what it loads; what leaves and changes now is read from the disk.
    bank = tight.crowd.bank
    tight.send(bank.leave, bank.leave, bank.close_account,
               lambda: tight.crowd.update("customers", 50, "first_name", "B{}".format),
               lambda: tight.crowd.update("accounts", 50, "balance", "{}.75".format))
    tight.service.catch_up()
    check(tight)
    tight.service.program.expect(0, "prove", "--config", tight.service.config)
