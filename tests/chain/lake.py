"""A lake as others see it: tables read by the Python package deltalake, never by freshet.

It must never write.
"""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import TableNotFoundError

# Columns that say when freshet wrote a row, or in which order it met it: no part of equality.
AUDIT = {"load_timestamp", "epoch", "seq"}


class Lake:
    """A lake under `url`: a folder, or s3:// with the storage options that lead there."""

    def __init__(self, url: str | Path, options: dict[str, str] | None = None) -> None:
        self.url, self.options = str(url), options

    def table(self, path: str):
        """A table as it stands, an Arrow table."""
        table = DeltaTable(f"{self.url}/{path}", storage_options=self.options)
        # The query engine knows deletion vectors; `to_pyarrow_table` refuses them.
        return pyarrow.table(QueryBuilder().register("it", table).execute("select * from it"))

    def rows(self, path: str) -> list[dict]:
        """The rows of a table; [] while there is none."""
        try:
            return [plain(row) for row in self.table(path).to_pylist()]
        except TableNotFoundError:
            return []

    def content(self, path: str) -> Counter:
        """The rows of a table as a bag, audit columns aside."""
        rows = self.rows(path)
        return Counter(tuple((name, value) for name, value in sorted(row.items())
                             if name not in AUDIT) for row in rows)


def plain(row: dict) -> dict:
    """Times in UTC without saying so, so that both kinds of columns compare."""
    return {name: value.astimezone(UTC).replace(tzinfo=None)
            if isinstance(value, datetime) and value.tzinfo else value
            for name, value in row.items()}
