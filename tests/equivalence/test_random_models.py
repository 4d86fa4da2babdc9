"""Random models over random histories: what is maintained equals what DuckDB makes of the same SQL.

The Rust test of `freshet-sql` runs the cases, compares each model after each epoch with its own
recompute, and tells every case's last state as a line of JSON. Here DuckDB runs the models that
ought to mean the same to both engines, and rows are compared as bags of canonical texts.
It must never leave a model out silently: what DuckDB refuses is counted, and must stay rare.
To repeat one failure, set FRESHET_SEED to its seed and FRESHET_CASES to 1.
"""

import json
import os
import re
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from equivalence.conftest import LONG
from equivalence.lake import canonical

duckdb = pytest.importorskip("duckdb", reason="duckdb is missing: run tests/install")

TEST = "maintain::tests::equivalence::what_is_maintained_equals_what_is_recomputed"
CASES = int(os.environ.get("FRESHET_CASES") or (20_000 if LONG else 300))
FIRST_SEED = int(os.environ.get("FRESHET_SEED") or 1)
# Cases of one process. Two run side by side; each may take some 50 ms a case, and much more on a
# busy machine.
CHUNK = 1_000
PROCESSES = 2
RUN_SECONDS_MAX = 900
LIST_SECONDS_MAX = 60
SAID_MAX = 4_000
REFUSED_MAX = 0.05
# With fewer cases, chance decides what there is to compare.
CASES_MANY = 100


@dataclass
class Tally:
    """What was compared, so that nobody takes an idle test for a proof."""

    cases: int = 0
    portable: int = 0
    compared: int = 0
    with_rows: int = 0
    refused: Counter = field(default_factory=Counter)

    def __str__(self) -> str:
        return (f"{self.compared} of {self.portable} portable models compared over {self.cases} "
                f"cases, {self.with_rows} of them with rows; refused: {self.refused.total()}")


@pytest.fixture(scope="module")
def generator(freshet) -> Path:
    """The newest test binary of `freshet-sql`, from the folder of the binary under test."""
    found = [p for p in (freshet.parent / "deps").glob("freshet_sql-*")
             if not p.suffix and os.access(p, os.X_OK)]
    if not found:
        pytest.skip("the test binary of freshet-sql is missing: run cargo test --no-run")
    newest = max(found, key=lambda p: p.stat().st_mtime)
    listed = subprocess.run([newest, "--list"], capture_output=True, text=True, check=True,
                            timeout=LIST_SECONDS_MAX)
    # An older binary that still has the test would prove something about older code.
    assert f"{TEST}: test" in listed.stdout.splitlines(), f"{newest} has no test {TEST}"
    return newest


def tell(generator: Path, first: int, count: int, path: Path) -> Path:
    """Runs the cases of these seeds; the file that tells them."""
    told = {"FRESHET_CASES": str(count), "FRESHET_SEED": str(first), "FRESHET_CASES_TO": str(path)}
    done = subprocess.run([generator, "--exact", TEST], env={**os.environ, **told},
                          capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=RUN_SECONDS_MAX)
    # The case that fails is told from its seed on, as small as it could be made.
    said = done.stdout[max(done.stdout.find("FRESHET_SEED="), 0):][:SAID_MAX]
    assert done.returncode == 0, f"seeds {first}..{first + count}: {said}\n{done.stderr[-500:]}"
    assert "1 passed" in done.stdout, f"the test did not run:\n{done.stdout[-1000:]}"
    return path


def chunks(generator: Path, folder: Path):
    """Files of all cases, as they get ready."""
    starts = range(FIRST_SEED, FIRST_SEED + CASES, CHUNK)
    with ThreadPoolExecutor(PROCESSES) as pool:
        runs = [pool.submit(tell, generator, first, min(CHUNK, FIRST_SEED + CASES - first),
                            folder / f"{first}.jsonl") for first in starts]
        try:
            for run in runs:
                yield run.result()
        finally:
            for run in runs:
                run.cancel()


def cells(text: str) -> list[str | None]:
    """A row's canonical text as values that DuckDB casts to its columns."""
    parts = re.findall(r"(?:^|\|)((?:[^\\|]|\\.)*)", text, re.DOTALL)
    return [None if part == r"\N" else re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL)
            for part in parts]


def texts(connection, name: str) -> Counter:
    """A relation's rows as canonical texts, each with its count.

    Reals are compared, too: a portable model only passes them on, and never computes with them.
    """
    rows = connection.execute(f"select * from {name}").fetchall()
    return Counter("|".join(map(canonical, row)) for row in rows)


def check_case(connection, case: dict, tally: Tally) -> None:
    """One case: its tables, its portable models in order, and the comparison of each."""
    made = []
    for name, rows in case["tables"].items():
        declared = case["columns"][name]
        connection.execute(f"create table {name} ({declared})")
        made.append(name)
        if rows:
            found = [cells(row) for row in rows]
            places = ", ".join("?" * len(found[0]))
            connection.executemany(f"insert into {name} values ({places})", found)
        assert texts(connection, name) == Counter(rows), f"seed {case['seed']}: {name} as told"
    portable = {model["name"]: model["portable"] for model in case["models"]}
    for model in case["models"]:
        if not model["portable"]:
            continue
        tally.portable += 1
        for read in re.findall(r"\bfrom (m\d+)\b", model["sql"]):
            assert portable[read], f"seed {case['seed']}: {model['name']} reads {read}"
        try:
            connection.execute(f"create table {model['name']} as {model['sql']}")
        except duckdb.Error as error:
            tally.refused[f"{str(error)[:200]} in seed {case['seed']}"] += 1
            continue
        made.append(model["name"])
        compare(connection, case["seed"], model)
        tally.compared += 1
        tally.with_rows += bool(model["rows"])
    for name in made:
        connection.execute(f"drop table {name}")
    tally.cases += 1


def compare(connection, seed: int, model: dict) -> None:
    """DuckDB's rows of a model against the told ones."""
    found, expected = Counter(model["rows"]), texts(connection, model["name"])
    if found == expected:
        return
    extra, missing = list((found - expected).elements()), list((expected - found).elements())
    raise AssertionError(
        f"FRESHET_SEED={seed} FRESHET_CASES=1: {model['name']} is not what DuckDB makes of\n"
        f"  {model['sql']}\n"
        f"{len(extra)} rows too many: {extra[:8]}\n{len(missing)} missing: {missing[:8]}")


def database():
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'; set threads = 1")
    connection.execute("create macro make_array(a, b) as [a, b]")
    return connection


def cases_of(path: Path):
    with path.open() as lines:
        yield from map(json.loads, lines)


def test_random_models_equal_duckdb(generator, tmp_path, capsys):
    connection, tally = database(), Tally()
    for path in chunks(generator, tmp_path):
        for case in cases_of(path):
            check_case(connection, case, tally)
        path.unlink()
    with capsys.disabled():
        print(f"\n{tally}")
    assert tally.cases == CASES
    few = tally.refused.total() <= REFUSED_MAX * tally.portable
    assert few, f"{tally}: {tally.refused.most_common(5)}"
    if CASES >= CASES_MANY:
        assert tally.compared > CASES // 2 and tally.with_rows > tally.compared // 3, str(tally)


def test_a_lost_row_is_found(generator, tmp_path):
    """The oracle itself: one row less, or one twice, must not pass."""
    cases = cases_of(tell(generator, 1, 100, tmp_path / "cases.jsonl"))
    case, model = next((c, m) for c in cases for m in c["models"] if m["portable"] and m["rows"])
    check_case(database(), case, Tally())
    told = model["rows"]
    for wrong in (told[1:], [*told, told[0]], [*told[1:], told[0] + "0"]):
        model["rows"] = wrong
        with pytest.raises(AssertionError, match=f"FRESHET_SEED={case['seed']}"):
            check_case(database(), case, Tally())


def test_text_is_read_back_as_it_was():
    assert cells(r"1|\N||a\|b|\\N|\\\\") == ["1", None, "", "a|b", r"\N", r"\\"]
