"""Smoke test of the real servers, before anything of ours runs on them: rows changed in PostgreSQL
arrive in Kafka in the shape the engine is built on, and MinIO refuses a second create.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from .server import wait_until

pytest.importorskip("boto3", reason="python packages are missing: run tests/install")
from botocore.exceptions import ClientError  # noqa: E402

BUCKET = "freshet"
PREFIX = "banking_server"
TRANSACTIONS = f"{PREFIX}.transaction"
TABLES = ("customers", "accounts", "transactions")


def topic(table: str) -> str:
    return f"{PREFIX}.public.{table}"


def values(kafka, name: str) -> list[dict]:
    return [json.loads(record.value()) for record in kafka.read(name)]


def by_op(events: list[dict], op: str) -> list[dict]:
    return [event for event in events if event["op"] == op]


@pytest.fixture(scope="module")
def bank(postgres, kafka, connect):
    """The bank with rows, its connector running, and four transactions streamed through it."""
    open_bank(postgres)
    connect.put()
    kafka.wait_for_topics([topic("customers"), topic("accounts")])
    change_bank(postgres)
    kafka.wait_for_topics([TRANSACTIONS])
    await_ends(kafka, 4)
    return kafka


def open_bank(postgres) -> None:
    with postgres.connect(autocommit=False) as connection:
        for number in (1, 2, 3):
            connection.execute(
                "insert into customers (first_name, last_name, email) values ('Ada', 'Berg', %s)",
                [f"ada{number}@example.org"])
            connection.execute(
                "insert into accounts (customer_id, account_type, balance)"
                " values (%s, 'CHECKING', 100.10)", [number])


def change_bank(postgres) -> None:
    """A transfer, an update that changes an e-mail, a delete that cascades, and a truncate."""
    with postgres.connect(autocommit=False) as connection:
        connection.execute("update accounts set balance = balance - 0.10 where id = 1")
        connection.execute("update accounts set balance = balance + 0.10 where id = 2")
        connection.execute("insert into transactions (account_id, txn_type, amount,"
                        " related_account_id) values (1, 'TRANSFER', 0.10, 2)")
    postgres.execute("update customers set email = 'new@example.org' where id = 2")
    postgres.execute("delete from customers where id = 3")
    postgres.execute("truncate transactions")


def await_ends(kafka, count: int) -> None:
    def ended() -> bool:
        return sum(each["status"] == "END" for each in values(kafka, TRANSACTIONS)) >= count

    wait_until(ended, 60, f"{count} ends of transactions")


def test_initial_read_and_changes_arrive(bank):
    customers, accounts = values(bank, topic("customers")), values(bank, topic("accounts"))
    assert len(by_op(customers, "r")) == 3
    assert {row["after"]["balance"] for row in by_op(accounts, "r")} == {"100.10"}
    [update] = by_op(customers, "u")
    assert update["before"] is None
    assert update["after"]["email"] == "new@example.org"
    [deleted] = by_op(customers, "d")
    assert deleted["before"]["id"] == 3
    assert [row["before"]["id"] for row in by_op(accounts, "d")] == [3]
    assert by_op(accounts, "d")[0]["source"]["txId"] == deleted["source"]["txId"]
    assert {row["after"]["balance"] for row in by_op(accounts, "u")} == {"100.00", "100.20"}


def test_truncate_arrives(bank):
    [truncate] = by_op(values(bank, topic("transactions")), "t")
    assert truncate["before"] is None and truncate["after"] is None


def test_topics_have_their_partitions(bank):
    topics = bank.topics()
    assert topics[TRANSACTIONS] == 1
    assert [topics[topic(table)] for table in TABLES] == [3, 3, 3]


def test_transfer_is_one_transaction(bank):
    ends = [each for each in values(bank, TRANSACTIONS) if each["status"] == "END"]
    counts = {part["data_collection"]: part["event_count"]
              for part in ends[0]["data_collections"]}
    assert ends[0]["event_count"] == 3
    assert counts == {"public.accounts": 2, "public.transactions": 1}


def test_password_is_not_told(bank, connect, postgres):
    settings = connect.settings()
    assert settings["database.password"] == "${env:PGPASSWORD}"
    stored = [record.value() or b"" for record in bank.read("connect-configs")]
    assert stored and not any(postgres.password.encode() in value for value in stored)


def test_everything_survives_restarts(bank, postgres, connect):
    before = len(bank.read(topic("customers")))
    bank.kill()
    bank.start()
    postgres.kill()
    postgres.start()
    connect.restart()
    connect.wait_running()
    connect.restart_connector()
    assert len(bank.read(topic("customers"))) == before
    postgres.execute("insert into customers (first_name, last_name, email)"
                     " values ('Eva', 'Lund', 'eva@example.org')")
    wait_until(lambda: by_op(values(bank, topic("customers")), "c"), 60, "a change after restarts")


def test_commit_times_are_tracked(postgres):
    [(tracked,)] = postgres.execute("show track_commit_timestamp")
    assert tracked == "on"


def test_second_create_is_refused(minio):
    minio.s3.put_object(Bucket=BUCKET, Key="epochs/1", Body=b"mine", IfNoneMatch="*")
    with pytest.raises(ClientError) as refused:
        minio.s3.put_object(Bucket=BUCKET, Key="epochs/1", Body=b"yours", IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert minio.s3.get_object(Bucket=BUCKET, Key="epochs/1")["Body"].read() == b"mine"


def test_one_of_racing_creates_wins(minio):
    def create(number: int) -> int:
        try:
            minio.s3.put_object(Bucket=BUCKET, Key="epochs/2", Body=b"%d" % number,
                                IfNoneMatch="*")
            return 200
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"]

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(create, range(16)))
    assert outcomes.count(200) == 1
    assert set(outcomes) <= {200, 409, 412}


def test_objects_survive_a_kill(minio):
    minio.s3.put_object(Bucket=BUCKET, Key="kept", Body=b"kept")
    minio.kill()
    minio.start()
    assert "kept" in minio.keys()


def test_start_up_times_are_told(postgres, kafka, connect, minio):
    """Not a check: what each server's last start took, for whoever reads -rP or -s."""
    for server in (postgres, kafka, connect, minio):
        print(f"{server.name}: up in {server.started_seconds:.1f} s")
        assert server.pid
