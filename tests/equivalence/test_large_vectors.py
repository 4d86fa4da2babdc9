"""Deletion vectors too large for a log entry lie in files of their own: deltalake must see past them.

A lake of `freshet bench lake` has them: many scattered changes to large files. Row counts and digests
as deltalake reads the tables must equal those that the last decision names.
"""

import json
import subprocess

import pytest

from equivalence.lake import Lake, digest

pytest.importorskip("deltalake", reason="deltalake is missing: run tests/install")

TABLES, ROWS, EPOCHS, CHANGES = 2, 50_000, 25, 4_000


@pytest.fixture(scope="module")
def lake(freshet, tmp_path_factory) -> Lake:
    root = tmp_path_factory.mktemp("vectors") / "lake"
    subprocess.run(
        [freshet, "bench", "lake", "--lake", root, "--tables", str(TABLES), "--rows", str(ROWS),
         "--epochs", str(EPOCHS), "--changes", str(CHANGES), "--json"],
        check=True, capture_output=True, timeout=300,
    )
    return Lake(root)


def test_deltalake_sees_past_vectors_in_files(lake):
    decision = lake.last()
    paths = [path for path in decision["tables"] if path.startswith("source/")]
    assert len(paths) == TABLES
    for path in paths:
        standing = decision["tables"][path]
        entry = lake.root / path / "_delta_log" / f"{standing['version']:020}.json"
        actions = map(json.loads, entry.read_text().splitlines())
        vectors = [action["add"].get("deletionVector") for action in actions if "add" in action]
        assert any(vector and vector["storageType"] == "u" for vector in vectors), path
        table = lake.table(path, decision)
        assert table.num_rows == standing["rows"]
        assert digest(table, table.column_names) == standing["digest"], path
