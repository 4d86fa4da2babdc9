"""PostgreSQL 15 with logical decoding: the bank's database.

It runs as user `postgres` when the tests run as root, since the server refuses root. It must never
touch the machine's own cluster.
"""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

import psycopg

from .cache import HERE, Missing, reason, versions
from .server import Server

# What Debezium and the audit need of the server; compose.yaml is held to the same.
SETTINGS = {"wal_level": "logical", "track_commit_timestamp": "on"}
# For speed, and only here: a test kills processes, never the machine's power.
TEST_SETTINGS = {"fsync": "off", "listen_addresses": "127.0.0.1", "max_connections": "50"}
DATABASE = "banking"
USER = "bank"
BANK_SQL = HERE / "bank.sql"


def programs() -> Path:
    """The folder of initdb and postgres: the pinned major version, else the newest there is."""
    found = {int(path.parts[-3]): path.parent for path in
             Path("/usr/lib/postgresql").glob("[0-9]*/bin/initdb")}
    if not found:
        raise Missing(f"postgres is missing: {reason('debian')}")
    wanted = int(versions()["POSTGRES_MAJOR"])
    return found.get(wanted) or found[max(found)]


class Postgres(Server):
    """A cluster of its own with the empty database `banking` and its three tables."""

    name = "postgres"
    stop_signal = 2  # fast shutdown: sessions are ended, the log is flushed

    def __init__(self) -> None:
        self.programs = programs()
        super().__init__()
        self.user = "postgres" if os.geteuid() == 0 else None
        self.password = secrets.token_hex(16)
        self.storage = self.folder / "cluster"
        if self.user:
            shutil.chown(self.folder, self.user, self.user)

    def prepare(self) -> None:
        # Read by initdb alone, and gone before the server runs.
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        if self.user:
            shutil.chown(password_file, self.user, self.user)
        subprocess.run(
            [self.programs / "initdb", "-D", self.storage, "-U", USER, "-A", "scram-sha-256",
             f"--pwfile={password_file}", "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True, capture_output=True, cwd=self.folder,
            user=self.user, group=self.user, extra_groups=[] if self.user else None,
        )
        password_file.unlink()

    def command(self) -> list[str]:
        settings = SETTINGS | TEST_SETTINGS | {
            "port": str(self.port), "unix_socket_directories": str(self.folder)}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.storage), *options]

    def ready(self) -> bool:
        try:
            with self.connect("postgres") as connection:
                connection.execute("select 1")
            return True
        except psycopg.OperationalError:
            return False

    def start(self) -> "Postgres":
        first = not self._prepared
        super().start()
        if first:
            with self.connect("postgres") as connection:
                connection.execute(f"create database {DATABASE}")
            self.run_file(BANK_SQL)
        return self

    def connect(self, database: str = DATABASE, autocommit: bool = True) -> psycopg.Connection:
        """A connection; each statement commits by itself unless `autocommit` is False."""
        return psycopg.connect(
            host=self.host, port=self.port, user=USER, password=self.password,
            dbname=database, autocommit=autocommit, connect_timeout=5,
        )

    def execute(self, sql: str, parameters=None) -> list[tuple]:
        """Runs one statement in a transaction of its own; its rows, or none."""
        with self.connect() as connection:
            cursor = connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

    def run_file(self, path: Path) -> None:
        """Runs a file of statements in one transaction."""
        with self.connect(autocommit=False) as connection:
            connection.execute(path.read_text())

    @property
    def url(self) -> str:
        """postgresql:// with the password: for the environment of a program, never for a log."""
        return f"postgresql://{USER}:{self.password}@{self.host}:{self.port}/{DATABASE}"
