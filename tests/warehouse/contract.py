"""What a reader of the warehouse must find: the lake's rows, under the contract's names and types."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pyarrow
from deltalake import DeltaTable, QueryBuilder

# Names and types that the report knows; `snowflake.connector.constants.FIELD_ID_TO_NAME` words.
TYPES = {
    "DIM_CUSTOMERS": {
        "CUSTOMER_ID": "TEXT", "FIRST_NAME": "TEXT", "LAST_NAME": "TEXT", "EMAIL": "TEXT",
        "CREATED_AT": "TIMESTAMP_NTZ", "EFFECTIVE_FROM": "TIMESTAMP_NTZ",
        "EFFECTIVE_TO": "TIMESTAMP_NTZ", "IS_CURRENT": "BOOLEAN",
    },
    "DIM_ACCOUNTS": {
        "ACCOUNT_ID": "TEXT", "CUSTOMER_ID": "TEXT", "ACCOUNT_TYPE": "TEXT", "BALANCE": "FIXED",
        "CURRENCY": "TEXT", "CREATED_AT": "TIMESTAMP_NTZ", "EFFECTIVE_FROM": "TIMESTAMP_NTZ",
        "EFFECTIVE_TO": "TIMESTAMP_NTZ", "IS_CURRENT": "BOOLEAN",
    },
    "FACT_TRANSACTIONS": {
        "TRANSACTION_ID": "TEXT", "ACCOUNT_ID": "TEXT", "CUSTOMER_ID": "TEXT", "AMOUNT": "FIXED",
        "RELATED_ACCOUNT_ID": "TEXT", "STATUS": "TEXT", "TRANSACTION_TYPE": "TEXT",
        "TRANSACTION_TIME": "TIMESTAMP_NTZ", "LOAD_TIMESTAMP": "TIMESTAMP_NTZ",
    },
}
MARTS = ["account_summary", "agg_daily_account_activity", "customer_segments",
         "customer_summary", "dim_accounts", "dim_accounts_current", "dim_customers",
         "dim_customers_current", "dim_date", "fact_transactions", "fraud_alerts"]


def in_the_lake(lake: Path, mart: str, version: int) -> Counter:
    """A mart's rows as of a version, read by delta-rs."""
    stored = DeltaTable(str(lake / "marts" / mart), version=version)
    query = QueryBuilder().register("t", stored).execute("select * from t")
    table = pyarrow.table(query.read_all())
    columns = [column.to_pylist() for column in table.columns]
    return Counter(zip(*(map(plain, column) for column in columns), strict=True))


def plain(value):
    """A value as both sides have it."""
    if isinstance(value, Decimal):
        return value.normalize() + 0
    if hasattr(value, "tzinfo") and value.tzinfo is not None:
        return value.replace(tzinfo=None)
    return value


def in_the_warehouse(connection, mart: str, ask_nulls: bool) -> tuple[Counter, dict[str, str]]:
    """Rows, and the type of each column, as Snowflake's own driver says them.

    `ask_nulls` asks for nulls in SQL: fakesnow tells a null time as 1970.
    """
    from snowflake.connector.constants import FIELD_ID_TO_NAME
    table = f"BANKING.ANALYTICS.{mart.upper()}"
    cursor = connection.cursor().execute(f"SELECT * FROM {table}")
    types = {column.name: FIELD_ID_TO_NAME[column.type_code] for column in cursor.description}
    if ask_nulls:
        cells = [cell for name in types for cell in (f'"{name}"', f'"{name}" IS NULL AS N{name}')]
        cursor = connection.cursor().execute(f"SELECT {', '.join(cells)} FROM {table}")
        rows = [[None if null else value for value, null in zip(row[::2], row[1::2], strict=True)]
                for row in cursor.fetchall()]
    else:
        rows = cursor.fetchall()
    return Counter(tuple(map(plain, row)) for row in rows), types


def assert_same(connection, lake: Path, decision: dict, ask_nulls: bool = False) -> None:
    """Every mart in the warehouse is the lake's, row for row, name for name, type for type."""
    for mart in MARTS:
        version = decision["tables"][f"marts/{mart}"]["version"]
        wanted = in_the_lake(lake, mart, version)
        found, types = in_the_warehouse(connection, mart, ask_nulls)
        assert found == wanted, f"{mart}: {list((found - wanted).items())[:2]}, " \
            f"{list((wanted - found).items())[:2]}"
        contract = TYPES.get(mart.upper())
        if contract:
            assert types == contract, mart
