"""Many epochs back to back: live files, log entries and what an epoch writes stay as they are, while rows
grow. `tests/run --long` plays 10,000 of them after 2,000 others.

Counts and bytes are asserted; times are printed and asserted nowhere, since the machine's hour decides.
"""

import json

from .conftest import LONG

CHANGES = 100
WARM_UP, EPOCHS = (2_000, 10_000) if LONG else (150, 300)
SECONDS_MAX = 3_000 if LONG else 400
# Some eight of each size, of two or three sizes.
FILES_OF_A_TABLE_MAX = 24
# A change of a transaction reaches the current rows, staging, the fact, and a few sums beside.
WRITTEN_ROWS_MAX = 8


def bench(program, folder, *arguments) -> list[dict]:
    """What `freshet bench epoch` measured, a bank a line."""
    run = program.spawn("bench", "epoch", "--changes", CHANGES, "--folder", folder, "--json", *arguments)
    assert run.wait(SECONDS_MAX) == 0, run.errors()
    return json.loads(run.out.read_text())


def test_files_and_entries_stay_flat_over_many_epochs(program, tmp_path):
    (told,) = bench(program, tmp_path, "--rows", 100_000 if LONG else 5_000, "--warm-up", WARM_UP,
                    "--epochs", EPOCHS, "--retention-minutes", 1)
    print({name: value for name, value in told.items() if "first_and_last" in name})
    assert told["recomputed"] == [] and told["followed"] > 10 * EPOCHS, "models were followed"
    files, most = told["files_first_and_last"], told["most_files_of_a_table_first_and_last"]
    assert max(most) <= FILES_OF_A_TABLE_MAX, most
    if LONG:
        assert files[1] <= 1.3 * files[0], files
    entries = told["entry_bytes_first_and_last_tenth"]
    assert 0 < entries[1] <= 1.3 * entries[0], entries
    assert told["stored_rows"] > 20_000


def test_what_an_epoch_writes_does_not_grow_with_what_is_stored(program, tmp_path):
    small, large = bench(program, tmp_path, "--rows", "3000,30000", "--warm-up", 20, "--epochs", 60)
    assert large["stored_rows"] > 5 * small["stored_rows"]
    for told in (small, large):
        written = told["written_an_epoch"]
        assert 0 < written["rows"] <= WRITTEN_ROWS_MAX * CHANGES, written
        assert 0 < written["raw_rows"] <= 1.2 * CHANGES, written
    rows = [told["written_an_epoch"]["rows"] for told in (small, large)]
    assert rows[1] <= 1.3 * rows[0], rows
    vectors = large["written_an_epoch"]["vector_bytes"]
    # A few bytes a changed row, and a bitmap's least for each file that lost one.
    assert 0 < vectors <= 100 * large["written_an_epoch"]["vectors"] + 40 * rows[1], vectors
