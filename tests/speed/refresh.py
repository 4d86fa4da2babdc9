"""One refresh after some changes, side by side: Freshet's epoch, `dbt build`, and DuckDB alone.

A script, not a test: `python tests/speed/refresh.py --rows 1000000 --changes 1000`. All run on this
machine, one after the other, over one bank: Freshet makes it and follows its changes, and the
source tables of its last two epochs are what dbt and DuckDB see before and after the same changes.
It must never compare different work without saying so: the notes below the table say what each
side does, and the rows of both sides are compared.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

import duckdb  # noqa: E402

from equivalence.lake import Lake, audit_columns  # noqa: E402
from equivalence.project import Compiled, copy_project, load  # noqa: E402

BENCH_SECONDS_MAX = 3_600
DBT_SECONDS_MAX = 1_200
SQL_SECONDS_MAX = 1_200
THREADS = 2
SQL_RUNS = 3
BEGAN = "effective_from"
NOTES = """\
(a) the median epoch: raw events, current rows, every model, snapshot and test, Delta files on disk
(b) the second `dbt build`, as a process: every model and test in full, one after the other, each on all
    cores, snapshots by comparison; {inner:.2f} s of it are dbt's own count, without its start. Its
    incremental model keeps rows that the source deleted: {stale} rows in {models} of {compared} models
    differ from the lake's
(c) the models' compiled SQL in graph order, the median of {runs} runs, after which no row of those
    models differs; no tests, and snapshots are left as they stand after (b)
(d) the last part of the initial read, then every model, snapshot and test from nothing
(e) as (c), over Parquet files of the source tables' rows
(f) the SQL of all {tests} data tests over what (e) made, as counts"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the bank")
    parser.add_argument("--beside", type=int, help="rows of a smaller bank, measured in the same run")
    parser.add_argument("--changes", type=int, default=1_000, help="changes of one refresh")
    parser.add_argument("--epochs", type=int, default=30, help="epochs that are measured")
    parser.add_argument("--warm-up", type=int, default=30, help="epochs before them")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--keep", action="store_true", help="leave the lake and the database there")
    return parser.parse_args()


def binary() -> Path:
    """The binary that is measured: $FRESHET_BIN, else the debug build."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or TESTS.parent / "target")
    found = Path(os.environ.get("FRESHET_BIN") or target / "debug" / "freshet")
    if not found.exists():
        sys.exit(f"the binary is missing: {found} (set FRESHET_BIN, or run cargo build)")
    return found.resolve()


def run(command, seconds_max: float, **options) -> str:
    """A command's output; its last words and an end if it fails."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=seconds_max,
                          stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def epochs(options, folder: Path) -> tuple[list[dict], Lake]:
    """Freshet's own measurement of each bank, and the lake that the last one leaves."""
    folder.mkdir()
    smaller = options.beside and options.beside < options.rows
    rows = [options.beside, options.rows] if smaller else [options.rows]
    sizes = ",".join(map(str, rows))
    said = run([binary(), "bench", "epoch", "--rows", sizes, "--changes", options.changes,
                "--epochs", options.epochs, "--warm-up", options.warm_up, "--folder", folder,
                "--keep", "--json"], BENCH_SECONDS_MAX)
    told = next(line for line in said.splitlines() if line.startswith("["))
    roots = [entry for entry in folder.iterdir() if (entry / "_freshet").is_dir()]
    roots = [entry for entry in roots if entry.name.endswith(f"-{options.rows}")]
    assert len(roots) == 1, f"lakes in {folder}: {roots}"
    return json.loads(told), Lake(roots[0])


def show(database: Path, compiled: Compiled, lake: Lake, decision: dict) -> None:
    """Puts the source tables as of an epoch into the database that dbt reads."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("set TimeZone = 'UTC'; create schema if not exists public")
        for name, relation in compiled.sources.items():
            load(connection, relation, lake.table(f"source/{name}", decision))


def build(project: Path, database: Path) -> tuple[float, float]:
    """One `dbt build` as anyone types it: its seconds, and those that dbt counts itself."""
    environment = {**os.environ, "BANK_DUCKDB": str(database), "DO_NOT_TRACK": "1"}
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--quiet", "build",
               "--project-dir", project, "--profiles-dir", project]
    since = time.perf_counter()
    run(command, DBT_SECONDS_MAX, env=environment, cwd=project)
    seconds = time.perf_counter() - since
    results = json.loads((project / "target" / "run_results.json").read_text())
    return seconds, results["elapsed_time"]


@contextmanager
def bounded(connection, seconds_max: float):
    """Interrupts what runs on a connection for too long."""
    timer = threading.Timer(seconds_max, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def timed(connection, statements: list[str]) -> list[float]:
    """Seconds of all of these, run by run."""
    taken = []
    with bounded(connection, SQL_SECONDS_MAX):
        for _ in range(SQL_RUNS):
            since = time.perf_counter()
            for statement in statements:
                connection.execute(statement).fetchall()
            taken.append(time.perf_counter() - since)
    return taken


@contextmanager
def alone(database: Path):
    """DuckDB on as many threads as Freshet has, in UTC."""
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"set TimeZone = 'UTC'; set threads = {THREADS}")
        yield connection


def made(compiled: Compiled) -> list[str]:
    """All models' SQL in graph order, as statements that make them anew."""
    return [f"create or replace table {node.relation} as {node.sql}"
            for node in compiled.nodes if node.kind == "model"]


def from_parquet(connection, compiled: Compiled, folder: Path) -> None:
    """Puts each source's rows into a Parquet file that is read in its place."""
    folder.mkdir()
    for name, relation in compiled.sources.items():
        file = folder / f"{name}.parquet"
        connection.execute(f"copy {relation} to '{file}' (format parquet, compression zstd)")
        connection.execute(f"drop table {relation}")
        connection.execute(f"create view {relation} as select * from read_parquet('{file}')")


def differing(database: Path, compiled: Compiled, lake: Lake, decision: dict) -> dict[str, int]:
    """Rows that only one side has, by model; audit columns aside.

    dbt's history begins with its first build. So what reads a snapshot directly is left out, and
    from what else there is, the time at which a version began.
    """
    found = {}
    snapshots = {node.name for node in compiled.nodes if node.kind == "snapshot"}
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for node in compiled.nodes:
            if node.name in snapshots or snapshots.intersection(node.above):
                continue
            told = lake.table(node.path, decision)
            aside = {BEGAN, *audit_columns(decision, node.path)}.intersection(told.column_names)
            left_out = f"exclude ({', '.join(sorted(aside))})" if aside else ""
            connection.register("told", told)
            sides = [f"select * {left_out} from {name}" for name in ("told", node.relation)]
            found[node.name] = 0
            for one, other in (sides, sides[::-1]):
                text = f"select count(*) from (({one}) except all ({other}))"
                (rows,), = connection.execute(text).fetchall()
                found[node.name] += rows
            connection.unregister("told")
    assert len(found) > 8, f"hardly a model was compared: {sorted(found)}"
    return found


def measure(options, folder: Path) -> dict:
    """Everything, one after the other."""
    of_banks, lake = epochs(options, folder / "lakes")
    told = of_banks[-1]
    before, after = lake.decisions()[-2:]
    (folder / "compiled").mkdir()
    compiled = Compiled(folder / "compiled")
    project, database = copy_project(folder), folder / "bank.duckdb"
    show(database, compiled, lake, before)
    first, _ = build(project, database)
    show(database, compiled, lake, after)
    second, inner = build(project, database)
    stale = differing(database, compiled, lake, after)
    with alone(database) as connection:
        taken = timed(connection, made(compiled))
    wrong = {name: n for name, n in differing(database, compiled, lake, after).items() if n}
    assert not wrong, f"the models' SQL gives other rows than the lake has: {wrong}"
    with alone(database) as connection:
        from_parquet(connection, compiled, folder / "parquet")
        taken_from_parquet = timed(connection, made(compiled))
        counts = [f"select count(*) from ({sql})" for sql in compiled.tests.values()]
        taken_by_tests = timed(connection, counts)
    epoch, in_full = told["epoch_ms_p50"] / 1e3, statistics.median(taken)
    parquet, tests = map(statistics.median, (taken_from_parquet, taken_by_tests))
    return {
        "rows": told["rows"], "stored_rows": told["stored_rows"], "changes": options.changes,
        "models_compared": len(stale),
        "rows_that_differ_after_dbt_build": {name: n for name, n in stale.items() if n},
        "epoch_seconds": epoch, "epoch_seconds_p99": told["epoch_ms_p99"] / 1e3,
        "dbt_first_build_seconds": first,
        "dbt_build_seconds": second, "dbt_build_inner_seconds": inner,
        "sql_seconds": in_full, "sql_seconds_all": taken,
        "sql_parquet_seconds": parquet, "sql_parquet_seconds_all": taken_from_parquet,
        "tests": len(counts), "tests_seconds": tests, "tests_seconds_all": taken_by_tests,
        "rebuild_seconds": told["build_seconds"],
        "epoch_to_dbt": epoch / second, "epoch_to_sql": epoch / in_full,
        "rebuild_to_sql": told["build_seconds"] / in_full,
        "rebuild_to_sql_parquet": told["build_seconds"] / parquet,
        "rebuild_to_sql_parquet_and_tests": told["build_seconds"] / (parquet + tests),
        "epoch_to_that_of_the_smaller_bank": told["epoch_ratio"],
        "freshet": of_banks,
    }


def table(m: dict) -> str:
    """For people."""
    rows = [("(a) Freshet, an epoch", m["epoch_seconds"]),
            ("(b) dbt build", m["dbt_build_seconds"]),
            ("(c) DuckDB, the models' SQL", m["sql_seconds"]),
            ("(d) Freshet, the rebuild", m["rebuild_seconds"]),
            ("(e) DuckDB from Parquet", m["sql_parquet_seconds"]),
            ("(f) DuckDB, the tests' SQL", m["tests_seconds"])]
    ratios = [("(a):(b)", m["epoch_to_dbt"]), ("(a):(c)", m["epoch_to_sql"]),
              ("(d):(c)", m["rebuild_to_sql"]), ("(d):(e)", m["rebuild_to_sql_parquet"]),
              ("(d):(e)+(f)", m["rebuild_to_sql_parquet_and_tests"])]
    lines = [f"{m['changes']} changes to {m['rows']} rows of the bank", "", f"{'':<32}seconds"]
    if m["epoch_to_that_of_the_smaller_bank"] != 1:
        ratios.append(("(a):a smaller bank's epoch", m["epoch_to_that_of_the_smaller_bank"]))
    lines += [f"{name:<30}{seconds:>9.3f}" for name, seconds in rows]
    lines += ["", f"{'':<33}ratio"]
    lines += [f"{name:<30}{ratio:>9.3f}   1 : {1 / ratio:.2f}" for name, ratio in ratios]
    stale = m["rows_that_differ_after_dbt_build"]
    notes = NOTES.format(inner=m["dbt_build_inner_seconds"], runs=SQL_RUNS, models=len(stale),
                         stale=sum(stale.values()), compared=m["models_compared"],
                         tests=m["tests"])
    return "\n".join([*lines, "", notes])


def main() -> None:
    # A run that is told to end cleans up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = arguments()
    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    folder = Path(tempfile.mkdtemp(prefix="freshet-speed-"))
    try:
        measured = measure(options, folder)
    finally:
        if options.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    print(json.dumps(measured) if options.json else table(measured))


if __name__ == "__main__":
    main()
