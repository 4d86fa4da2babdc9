"""Captured real topics, replayed: laws 1, 2 and 4 do not depend on how records happen to be read.

Three partitions a table, transactions interleaved, and deliveries repeated by restarts of
connector, worker and broker. The short capture under captures/ needs no server; the long one is
what the story of this run left on its topics.
"""

import gzip
import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("deltalake", reason="python packages are missing: run tests/install")

from . import capture, epochs  # noqa: E402
from .lake import Lake  # noqa: E402
from .line import MODELS, PREFIX, TABLES, run  # noqa: E402

CAPTURES = Path(__file__).parent / "captures"
SEEDS = (1, 2, 3, 4, 5, 6)
LONG_SEEDS = SEEDS if os.environ.get("FRESHET_LONG") else SEEDS[:3]
# Epochs of about so many that follow the initial read: how much a run wrote is the machine's say.
EPOCHS = 12


class Replays:
    """Replays of one capture, each into a lake of its own."""

    def __init__(self, binary: Path, folder: Path, topics: Path, models: Path) -> None:
        self.binary, self.folder, self.topics, self.models = binary, folder, topics, models
        streamed = sum(record["event"]["op"] != "r"
                       for record in capture.changes(capture.read(topics)))
        self.rows = max(1, streamed // EPOCHS)
        self.loaded: Path | None = None
        self.made: dict[tuple, Lake] = {}

    def of(self, **options) -> Lake:
        """The lake of a replay with these options; underscores mean dashes."""
        key = tuple(sorted(options.items()))
        if key not in self.made:
            lake = self.folder / name(key)
            self.replay(self.topics, lake, key)
            self.made[key] = Lake(lake)
        return self.made[key]

    def after_load(self, **options) -> Lake:
        """The same, on a lake that holds the initial read already.

        Its rows stand in no transaction and belong where they are met: only what follows is cut
        at places that the topics alone decide.
        """
        key = ("after_load", *sorted(options.items()))
        if key not in self.made:
            lake = self.folder / f"loaded-{name(key[1:])}"
            shutil.copytree(self.load(), lake)
            self.replay(self.topics, lake, key[1:])
            self.made[key] = Lake(lake)
        return self.made[key]

    def load(self) -> Path:
        """A lake with the initial read alone, which lies at the start of each partition."""
        if self.loaded is None:
            self.loaded = self.folder / "loaded"
            reads = self.folder / "reads.jsonl"
            reads.write_text("".join(
                f"{text}\n" for text, record in zip(
                    self.topics.read_text().splitlines(), capture.read(self.topics), strict=True)
                if record["event"].get("op") == "r"))
            self.replay(reads, self.loaded, ())
        return self.loaded

    def replay(self, topics: Path, lake: Path, options: tuple) -> None:
        words = [word for option, value in options
                 for word in (f"--{option.replace('_', '-')}", value)]
        run(self.binary, "replay", topics, "--lake", lake, "--models", self.models,
            "--transaction-topic", f"{PREFIX}.transaction", *words)


def name(options: tuple) -> str:
    return "-".join(f"{option}{value}" for option, value in options) or "plain"


@pytest.fixture(scope="module")
def short(freshet, tmp_path_factory) -> Replays:
    """Replays of the capture that lies in the repository."""
    folder = tmp_path_factory.mktemp("short")
    topics = folder / "topics.jsonl"
    topics.write_bytes(gzip.decompress((CAPTURES / "topics.jsonl.gz").read_bytes()))
    shutil.copytree(MODELS, folder / "models")
    shutil.copy(CAPTURES / "_sources.yml", folder / "models" / "staging")
    return Replays(freshet, folder, topics, folder / "models")


@pytest.fixture(scope="module")
def long(story, freshet, tmp_path_factory) -> Replays:
    """Replays of this run's own topics."""
    return Replays(freshet, tmp_path_factory.mktemp("long"), story.capture, story.line.models)


def tables(models: Path) -> list[str]:
    """Every table but raw, as a path within the lake."""
    found = [f"source/{table}" for table in TABLES]
    found += [f"{sql.parent.name}/{sql.stem}" for layer in ("staging", "snapshots", "marts")
              for sql in sorted((models / layer).glob("*.sql"))]
    return found


def assert_equal(ours: Lake, theirs: Lake, models: Path) -> None:
    """Every table has the same rows in both, audit columns aside."""
    for table in tables(models):
        left, right = ours.content(table), theirs.content(table)
        assert right or table == "marts/fraud_alerts", table
        assert left == right, (
            f"{table}: {list((left - right).items())[:2]} {list((right - left).items())[:2]}")


def test_the_short_capture_is_what_it_should_be(short):
    records = capture.read(short.topics)
    assert len({(record["topic"], record["partition"]) for record in records}) == 10
    changes = capture.changes(records)
    identities = [capture.identity(record) for record in changes if record["event"]["op"] != "r"]
    assert len(identities) > len(set(identities)), "nothing was delivered twice"
    assert any("__debezium_unavailable_value" in record["payload"] for record in changes)
    assert any("__debezium.oldkey" in record["headers"] for record in changes)


@pytest.mark.parametrize("seed", SEEDS)
def test_interleavings_give_the_same_epochs(short, seed):
    """The cut is a function of what the topics hold, not of who is read first."""
    assert_same_epochs(short, seed)


@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_interleavings_of_the_long_capture_cut_at_commits(long, seed):
    """Whatever the order, each epoch ends between two commits, and the tables are equal."""
    plain = long.after_load(epoch_rows=long.rows)
    other = long.after_load(epoch_rows=long.rows, interleave_seed=seed)
    epochs.assert_prefixes(other, capture.commit_order(capture.read(long.topics)))
    assert_equal(other, plain, long.models)


@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_interleavings_of_the_long_capture_give_the_same_epochs(long, seed):
    assert_same_epochs(long, seed)


def assert_same_epochs(replays: Replays, seed: int) -> None:
    """Through the cut and the deduplication each epoch has the same content; tables are equal."""
    plain = replays.after_load(epoch_rows=replays.rows)
    other = replays.after_load(epoch_rows=replays.rows, interleave_seed=seed)
    taken = epochs.first_taken(plain)
    assert len(taken) > EPOCHS // 2
    assert epochs.first_taken(other) == taken
    assert_equal(other, plain, replays.models)


@pytest.mark.parametrize("seed", SEEDS)
def test_cuts_anywhere_give_the_same_tables(short, seed):
    plain = short.of(epoch_rows=short.rows)
    other = short.of(epoch_rows=short.rows, interleave_seed=seed + 10, cut_seed=seed)
    assert set().union(*epochs.taken(other)) == set().union(*epochs.taken(plain))
    assert_equal(other, plain, short.models)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_transaction_is_cut_in_two(short, seed):
    cut = short.of(epoch_rows=short.rows, interleave_seed=seed + 10, cut_seed=seed)
    epochs.assert_prefixes(cut, capture.commit_order(capture.read(short.topics)))


@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_the_long_capture_gives_what_was_followed(long, story, seed):
    """Replayed in another order and cut elsewhere, the topics give the tables of the live run."""
    replay = long.of(epoch_rows=long.rows, interleave_seed=seed, cut_seed=seed)
    assert_equal(replay, story.lake, story.line.models)
