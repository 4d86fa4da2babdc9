"""A lake as outsiders see it: decisions as JSON, tables at their versions through `deltalake`.

It must never call the engine, nor look into its caches: anyone could read what is read here.
"""

import hashlib
import json
from datetime import date, datetime, timezone
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

MASK = (1 << 64) - 1
SOURCE_ADDED = ("_commit_at", "_tx_id", "_lsn")


class Lake:
    """A folder that a run of the engine left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.read = lru_cache(maxsize=None)(self._read)

    def decisions(self) -> list[dict]:
        """All epochs, in their order."""
        files = sorted((self.root / "_freshet" / "epochs").glob("*.json"))
        return [json.loads(file.read_text()) for file in files]

    def built(self) -> list[dict]:
        """The epochs that have models: those from the end of the initial read on."""
        return [d for d in self.decisions() if d["cut"]["phase"] == "done"]

    def last(self) -> dict:
        return self.decisions()[-1]

    def table(self, path: str, decision: dict) -> pa.Table:
        """A table as that epoch left it, such as `marts/dim_accounts`."""
        return self.read(path, decision["tables"][path]["version"])

    def _read(self, path: str, version: int) -> pa.Table:
        table = DeltaTable(str(self.root / path), version=version)
        # QueryBuilder, since deltalake's pyarrow reader does not know deletion vectors.
        batches = QueryBuilder().register("t", table).execute("select * from t").read_all()
        return plain(pa.table(batches))

    def rows(self, path: str, decision: dict) -> list[dict]:
        return self.table(path, decision).to_pylist()


def plain(table: pa.Table) -> pa.Table:
    """The same with text and bytes in types that every reader knows."""
    kinds = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    fields = [field.with_type(kinds.get(field.type, field.type)) for field in table.schema]
    return table.cast(pa.schema(fields))


def audit_columns(decision: dict, path: str) -> list[str]:
    """Columns that say when we looked, not what is so: no part of equality."""
    name = path.rsplit("/", 1)[1]
    return [c for m in decision["models"] if m["name"] == name for c in m.get("audit", [])]


def digested(decision: dict, path: str, columns: list[str]) -> list[str]:
    """The columns that a table's digest covers."""
    left_out = SOURCE_ADDED if path.startswith("source/") else audit_columns(decision, path)
    return [c for c in columns if c not in left_out]


def digest(table: pa.Table, columns: list[str]) -> str:
    """The order-free digest, from its specification in sql/src/digest.rs alone."""
    cells = [[canonical(value) for value in table[c].to_pylist()] for c in columns]
    total = 0
    for row in zip(*cells):
        total += int.from_bytes(hashlib.md5("|".join(row).encode()).digest()[8:], "big")
    return f"{total & MASK:016x}"


def canonical(value) -> str:
    """One value in the digest's canonical text."""
    match value:
        case None:
            return "\\N"
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return f"{value:f}" if isinstance(value, Decimal) else str(value)
        case str():
            return value.replace("\\", "\\\\").replace("|", "\\|")
        case bytes():
            return value.hex()
        case datetime():
            utc = value.astimezone(timezone.utc) if value.tzinfo else value
            return utc.strftime("%Y-%m-%d %H:%M:%S.") + f"{utc.microsecond:06d}"
        case date():
            return value.isoformat()
        case float():
            return repr(value)
    raise TypeError(f"no canonical text for {type(value).__name__}")


def multiset(rows: list[dict], without=()) -> dict:
    """How often each row occurs: what "the same rows" means."""
    counted: dict = {}
    for row in rows:
        key = tuple((name, row[name]) for name in sorted(row) if name not in without)
        counted[key] = counted.get(key, 0) + 1
    return counted


def assert_same_rows(found: dict, expected: dict, where: str) -> None:
    """Fails with a few rows of either side, instead of a million."""
    if found == expected:
        return
    extra = [row for row in found if found[row] != expected.get(row, 0)]
    missing = [row for row in expected if expected[row] != found.get(row, 0)]
    shown = "\n".join([f"  found    {found[r]} x {dict(r)}" for r in extra[:4]]
                      + [f"  expected {expected[r]} x {dict(r)}" for r in missing[:4]])
    raise AssertionError(f"{where}: {len(extra)} wrong rows, {len(missing)} missing\n{shown}")
