"""What a lake holds, read from outside through the Python package deltalake, and how two differ.

Rows are compared as multisets. Aside are only what the run itself writes: models' audit columns,
and the epochs in which raw events and dead letters were taken in.
"""

import io
import json
import re
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
from deltalake import DeltaTable, QueryBuilder

from .program import Program

RAW_RUN_COLUMNS = {"epoch", "seq"}
DEAD_LETTER_RUN_COLUMNS = {"epoch", "epoch_at"}
DIFFERENCES_SHOWN = 3
# Counted per run or by the moments at which epochs were cut, not by what was read.
TOTALS_OF_THE_RUN = {"passed_by_timeout"}
# What a killed process leaves of a local write: no reader of a lake sees such a name.
HALF_WRITTEN = re.compile(r"#\d+$")


class Lake:
    """A lake on a folder, or on MinIO where `minio` is given."""

    def __init__(self, url: str | Path, minio=None) -> None:
        self.url = str(url)
        self.minio = minio

    def table(self, name: str) -> DeltaTable:
        options = self.minio.delta_options() if self.minio else None
        return DeltaTable(f"{self.url}/{name}", storage_options=options)

    def rows(self, name: str, version: int, aside: set[str]) -> Counter:
        """The rows of a table, which must be at this version: nobody else committed."""
        table = self.table(name)
        assert table.version() == version, f"{name}: {table.version()}, decided is {version}"
        query = QueryBuilder().register("t", table).execute("select * from t")
        return counted(pyarrow.table(query), aside)

    def names(self, start: str) -> list[str]:
        """Names of the objects in a folder, or of the one object, relative to the lake."""
        if not self.minio:
            root = Path(self.url)
            found = [root / start, *(root / start).rglob("*")]
            return sorted(str(file.relative_to(root)) for file in found
                          if file.is_file() and not HALF_WRITTEN.search(file.name))
        bucket, prefix = self._place()
        keys = self.minio.keys(f"{prefix}/{start}", bucket)
        return [key.removeprefix(f"{prefix}/") for key in keys]

    def objects(self, start: str) -> dict[str, bytes]:
        """The objects of a folder, or the one object, by name."""
        if not self.minio:
            return {name: (Path(self.url) / name).read_bytes() for name in self.names(start)}
        bucket, prefix = self._place()
        get = self.minio.s3.get_object
        return {name: get(Bucket=bucket, Key=f"{prefix}/{name}")["Body"].read()
                for name in self.names(start)}

    def _place(self) -> list[str]:
        """The bucket, and the lake's place in it."""
        return self.url.removeprefix("s3://").split("/", 1)

    def decisions(self) -> list[dict]:
        """Every decision, in order."""
        return [json.loads(body) for _, body in sorted(self.objects("_freshet/epochs").items())]


def counted(rows: pyarrow.Table, aside: set[str]) -> Counter:
    names = sorted(set(rows.column_names) - aside)
    columns = [rows.column(name).to_pylist() for name in names]
    # repr: lists are not hashable, and 1 equals True.
    return Counter(zip(*([repr(value) for value in column] for column in columns), strict=True))


def contents(program: Program, lake: Lake) -> dict[str, Counter | dict]:
    """Everything that must not depend on how often a run was disturbed, by name."""
    status = program.status(lake.url)
    audits = {f"{m['layer']}/{m['name']}": set(m.get("audit", ())) for m in status["models"]}
    found = {}
    for name, standing in status["tables"].items():
        aside = audits.get(name, set())
        if name.startswith("raw/"):
            aside = RAW_RUN_COLUMNS
        elif name == "_freshet/dead_letters":
            aside = DEAD_LETTER_RUN_COLUMNS
        found[name] = lake.rows(name, standing["version"], aside)
        assert found[name].total() == standing["rows"], f"{name}: rows and their count differ"
    found["offsets"] = status["offsets"]
    found["tests"] = {test["name"]: test["status"] for test in status["tests"]}
    totals = status["totals"].items()
    found["totals"] = {name: count for name, count in totals if name not in TOTALS_OF_THE_RUN}
    return found


def differences(found: dict, wanted: dict) -> list[str]:
    """What differs, one line each; empty when all is the same."""
    told = [f"{name}: only in one of them" for name in found.keys() ^ wanted.keys()]
    for name in sorted(found.keys() & wanted.keys()):
        have, want = found[name], wanted[name]
        if have == want:
            continue
        if not isinstance(have, Counter):
            told.append(f"{name}: {have} instead of {want}")
            continue
        more, less = have - want, want - have
        told.append(f"{name}: {more.total()} rows too many, {less.total()} missing; such as "
                    f"+{list(more)[:DIFFERENCES_SHOWN]} -{list(less)[:DIFFERENCES_SHOWN]}")
    return told


def assert_same(program: Program, lake: Lake, wanted: dict) -> None:
    """The lake holds what an undisturbed run made, and its history adds up to it."""
    found = contents(program, lake)
    told = differences(found, wanted)
    assert not told, "\n".join(told)
    assert_history(lake, found, program.status(lake.url))


def assert_history(lake: Lake, found: dict, status: dict) -> None:
    """Decisions are numbered without a gap, and each mart is the sum of the changes they name."""
    decisions = lake.decisions()
    assert [d["epoch"] for d in decisions] == list(range(1, status["epoch"] + 1))
    generations = [d["generation"] for d in decisions]
    assert generations == sorted(generations), generations
    files = lake.objects("_freshet/changes")
    audits = {m["name"]: set(m.get("audit", ())) for m in status["models"]}
    sums: dict[str, Counter] = {name: Counter() for name in found if name.startswith("marts/")}
    for path in (path for decision in decisions for path in decision["changes"]):
        layer, model = path.split("/")[2:4]
        rows = pyarrow.parquet.read_table(io.BytesIO(files[path]))
        weights = rows.column("_weight").to_pylist()
        # One row at a time stands for its weight: a retraction takes away what an epoch added.
        for sign in (1, -1):
            part = rows.filter(pyarrow.array([weight * sign > 0 for weight in weights]))
            assert set(map(abs, part.column("_weight").to_pylist())) <= {1}
            change = counted(part, audits[model] | {"_weight"})
            mart = sums[f"{layer}/{model}"]
            mart.update(change) if sign > 0 else mart.subtract(change)
    for name, total in sums.items():
        left = Counter({row: count for row, count in total.items() if count})
        assert left == found[name], f"{name}: its change log sums to other rows"
