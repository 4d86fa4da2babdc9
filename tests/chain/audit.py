"""What PostgreSQL itself remembers: every version of every row, kept by a trigger.

The outside witness of law 4. Its table lies in a schema that Debezium does not read, and it must
never be filled by anything but the trigger.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby

TRIGGER = """
create schema audit;
create table audit.images (
    seq bigserial primary key,
    xid xid8 not null default pg_current_xact_id(),
    relation text not null,
    key bigint not null,
    image jsonb  -- null: the row was deleted
);
create function audit.keep() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or (tg_op = 'UPDATE' and old.id <> new.id) then
        insert into audit.images (relation, key) values (tg_table_name, old.id);
    end if;
    if tg_op <> 'DELETE' then
        insert into audit.images (relation, key, image)
        values (tg_table_name, new.id, to_jsonb(new));
    end if;
    return null;
end $$;
"""
# The last image of a key and transaction: the ones before it were never visible. Row locks order
# the transactions of one key, so `seq` orders its images as their commits did.
LAST_IMAGES = """
select key, pg_xact_commit_timestamp(xid::xid) as at, image
from (select distinct on (key, xid) key, xid, seq, image from audit.images
      where relation = %s order by key, xid, seq desc) as last
order by key, seq
"""


@dataclass(frozen=True)
class Watched:
    """A snapshot: the columns of its query, and those of which a change makes a version."""

    relation: str
    key: str
    columns: dict[str, type]
    checked: tuple[str, ...]


CUSTOMERS = Watched(
    "customers", "customer_id",
    {"first_name": str, "last_name": str, "email": str, "created_at": datetime},
    ("first_name", "last_name", "email"))
ACCOUNTS = Watched(
    "accounts", "account_id",
    {"customer_id": str, "account_type": str, "balance": Decimal, "currency": str,
     "created_at": datetime},
    ("customer_id", "account_type", "balance"))


def install(postgres, tables) -> None:
    """Makes the audit table and puts the trigger on each of `tables`."""
    with postgres.connect(autocommit=False) as connection:
        connection.execute(TRIGGER)
        for table in tables:
            connection.execute(
                f"create trigger audit after insert or update or delete on {table}"
                " for each row execute function audit.keep()")


def history(postgres, watched: Watched, reads: "Reads") -> dict[str, list[tuple]]:
    """The versions that each key must have, as (values, updated_at, valid_from, valid_to).

    What the initial read brought has one version, of its last image, dated by the read: Debezium
    tells no commit. A commit that is streamed, yet older than the read's own word for its time,
    can't begin before the version it ends: `updated_at` alone is the commit then.
    """
    with postgres.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        # jsonb's numbers would pass through a float.
        text = LAST_IMAGES.replace("at, image", "at, image::text")
        rows = connection.execute(text, [watched.relation]).fetchall()
    keys = groupby(rows, key=lambda row: row[0])
    found = {str(key): versions(watched, key, list(images), reads) for key, images in keys}
    return {key: list_ for key, list_ in found.items() if list_}


@dataclass(frozen=True)
class Reads:
    """The initial read: the first commit that is not in it, and when it met each row."""

    streamed_from: datetime
    met: dict[tuple[str, int], datetime]


def versions(watched: Watched, key: int, images: list[tuple], reads: Reads) -> list[tuple]:
    """One key's images folded into versions: a new one where a checked column changed."""
    last_read = [image for _, at, image in images if at < reads.streamed_from][-1:]
    events = [(image, reads.met[watched.relation, key]) for image in last_read if image]
    events += [(image, at) for _, at, image in images if at >= reads.streamed_from]
    done, open_, reached = [], None, datetime.min
    for image, at in [(image, naive(at)) for image, at in events]:
        row = None if image is None else values(watched, image)
        starts = max(at, reached)
        if open_ and (row is None or checked(watched, row) != checked(watched, open_[0])):
            done.append((*open_, starts))
            open_, reached = None, starts
        if row is not None and open_ is None:
            open_, reached = (row, at, starts), starts
    return done + ([(*open_, None)] if open_ else [])


def checked(watched: Watched, row: dict) -> list:
    return [row[column] for column in watched.checked]


def values(watched: Watched, image: str) -> dict:
    """An image's columns as the snapshot types them."""
    row = json.loads(image, parse_float=Decimal)
    return {column: cast(row[column], kind) for column, kind in watched.columns.items()}


def cast(value, kind: type):
    if value is None:
        return None
    if kind is datetime:
        return naive(datetime.fromisoformat(value))
    return kind(value)


def naive(at: datetime | None) -> datetime | None:
    """UTC without saying so, as dbt's columns are."""
    return None if at is None else at.astimezone(UTC).replace(tzinfo=None)
