"""The bank's project through real dbt: compiled SQL, and a DuckDB that runs it.

dbt itself says what each model's SQL is, in which order models stand, and where relations lie.
It must never use the engine's own Jinja or SQL.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from .runs import MODELS


@dataclass(frozen=True)
class Node:
    """A model or snapshot as dbt compiled it."""

    name: str
    kind: str
    layer: str
    sql: str
    relation: str
    above: tuple[str, ...]

    @property
    def path(self) -> str:
        """Where the lake has its table."""
        return f"{self.layer}/{self.name}"


def copy_project(folder: Path) -> Path:
    """The project in a folder of its own, without what earlier runs of dbt left in it."""
    project = folder / "models"
    shutil.copytree(MODELS, project, ignore=shutil.ignore_patterns("target", "logs", "*.duckdb"))
    return project


def dbt(project: Path, database: Path, *arguments, manifest=None):
    """Runs a dbt command in this process; its result, or its exception raised."""
    from dbt.cli.main import dbtRunner
    os.environ["BANK_DUCKDB"] = str(database)
    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    result = dbtRunner(manifest=manifest).invoke(
        ["--quiet", *arguments, "--project-dir", str(project), "--profiles-dir", str(project)])
    if result.exception:
        raise result.exception
    assert result.success, [(r.node.name, r.message) for r in result.result]
    return result.result


class Compiled:
    """All models in graph order."""

    def __init__(self, folder: Path, edit=lambda project: None) -> None:
        project = self.project = copy_project(folder)
        edit(project)
        dbt(project, folder / "bank.duckdb", "compile")
        manifest = json.loads((project / "target" / "manifest.json").read_text())
        self.sources = {s["name"]: s["relation_name"] for s in manifest["sources"].values()}
        tests = [n for n in manifest["nodes"].values() if n["resource_type"] == "test"]
        self.tests: dict[str, str] = {test["name"]: test["compiled_code"] for test in tests}
        shutil.rmtree(project / "target")
        left = {key: node for key, node in manifest["nodes"].items()
                if node["resource_type"] in ("model", "snapshot")}
        self.nodes: list[Node] = []
        while left:
            ready = [k for k in sorted(left) if not any(a in left for a in above(left[k]))]
            self.nodes += [self.node(left.pop(key)) for key in ready]

    @staticmethod
    def node(node: dict) -> Node:
        layer = node["original_file_path"].split("/")[0]
        return Node(name=node["name"], kind=node["resource_type"], layer=layer,
                    sql=node["compiled_code"], relation=node["relation_name"],
                    above=tuple(key.rsplit(".", 1)[1] for key in above(node)))

    def database(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB in memory under the name that the compiled SQL expects, in UTC."""
        connection = duckdb.connect()
        connection.execute("attach ':memory:' as bank; set TimeZone = 'UTC'; set threads = 1")
        for relation in [*self.sources.values(), *(node.relation for node in self.nodes)]:
            connection.execute(f"create schema if not exists {relation.rsplit('.', 1)[0]}")
        return connection


def above(node: dict) -> list[str]:
    """The nodes that a node reads."""
    return node["depends_on"]["nodes"]


def load(connection: duckdb.DuckDBPyConnection, relation: str, rows: pa.Table) -> None:
    """Puts rows into a relation, replacing what it held."""
    connection.register("loading", rows)
    connection.execute(f"create or replace table {relation} as select * from loading")
    connection.unregister("loading")
