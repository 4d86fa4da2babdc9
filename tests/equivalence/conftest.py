"""Fixtures of the equivalence tests: one workshop for captures and lakes, one compiled project.

They are shared by the whole run, since a replay costs seconds; nobody may change what they give.
"""

import os

import pytest

LONG = os.environ.get("FRESHET_LONG") == "1"


@pytest.fixture(scope="session")
def runs(freshet, tmp_path_factory):
    """Captures and replays: equivalence.runs.Runs."""
    from equivalence.runs import Runs
    return Runs(freshet, tmp_path_factory.mktemp("equivalence"))


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """The bank's models as dbt compiles them for DuckDB: equivalence.project.Compiled."""
    pytest.importorskip("dbt.cli.main", reason="dbt is missing: run tests/install")
    from equivalence.project import Compiled
    return Compiled(tmp_path_factory.mktemp("dbt"))


@pytest.fixture(scope="session")
def seeds():
    """How many random histories and cuts a test tries: (histories, cuts)."""
    return (12, 12) if LONG else (1, 6)
