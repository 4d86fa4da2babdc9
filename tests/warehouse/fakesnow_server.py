"""fakesnow as a server, with the few words swapped that it can't take.

Each swap is a gap of fakesnow's, not of Snowflake's, and named here: the emulator covers them.
"""

import json
import re
import sys
from importlib import import_module

import uvicorn

# The package has a function of this name too.
server = import_module("fakesnow.server")

# What a statement's text becomes, and why fakesnow needs it.
SWAPS = [
    # Temporary tables belong to one cursor, and each request has another.
    (r"^CREATE OR REPLACE TEMPORARY TABLE", "CREATE OR REPLACE TABLE"),
    # Transactions have no names.
    (r'^BEGIN TRANSACTION NAME "[^"]*"$', "BEGIN"),
    # Sessions have no settings, and transactions no numbers.
    (r"^ALTER SESSION SET .*", "SELECT 'set'"),
    (r"^SELECT CURRENT_TRANSACTION\(\)$", "SELECT 1"),
    # Staged files can't be removed.
    (r"^REMOVE .*", "SELECT 'removed'"),
]


class Swapping:
    """What fakesnow's server reads requests with: `json`, but for the words swapped."""

    @staticmethod
    def loads(body):
        request = json.loads(body)
        if isinstance(request, dict) and "sqlText" in request:
            for pattern, instead in SWAPS:
                request["sqlText"] = re.sub(pattern, instead, request["sqlText"])
        return request

    def __getattr__(self, name):
        return getattr(json, name)


def main(port: int) -> None:
    server.json = Swapping()
    # Comments go into a second database: DuckDB refuses that inside a transaction, where MERGE makes
    # a table of its own; and an apostrophe in a comment ends its text.
    info_schema = import_module("fakesnow.info_schema")
    info_schema.insert_table_comment_sql = lambda *_: "SELECT 1"
    uvicorn.run(server.app, host="127.0.0.1", port=port, log_level="info")


if __name__ == "__main__":
    main(int(sys.argv[1]))
