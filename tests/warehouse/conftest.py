"""A lake for all tests of this folder, and the two Snowflakes."""

import pytest


@pytest.fixture(scope="session")
def bank_lake(freshet, tmp_path_factory):
    """A lake of the demo: several epochs."""
    from warehouse.desk import make_lake
    return make_lake(freshet, tmp_path_factory.mktemp("bank") / "lake")


@pytest.fixture
def lake(bank_lake, tmp_path):
    """A copy of it, for one test."""
    from warehouse.desk import copy_lake
    return copy_lake(bank_lake, tmp_path / "lake")


@pytest.fixture
def emulator(freshet):
    from warehouse.servers import Emulator
    server = Emulator(freshet, "--lock-timeout-ms", "300").start()
    yield server
    server.remove()


@pytest.fixture
def fakesnow():
    from conftest import started
    from warehouse.servers import Fakesnow
    server = started(Fakesnow)
    yield server
    server.remove()
