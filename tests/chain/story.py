"""The story of one run: what is written, and what breaks meanwhile, in order.

The generator writes from the first line to the last; after each blow a marker must arrive, so that
a line that did not recover is found where it broke. It only acts and waits: tests compare.
"""

from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import TopicPartition
from stack.minio import BUCKET
from stack.server import wait_until

from . import audit
from .capture import write
from .lake import Lake
from .line import PREFIX, TABLES, Line
from .writer import MARKER, WIDE, Writer

ARRIVAL_SECONDS_MAX = 120.0


@dataclass
class Servers:
    """The real ones, started."""

    postgres: object
    kafka: object
    connect: object
    minio: object


@dataclass(frozen=True)
class Size:
    """How much the bank does, how wide its wide notes are, and how often all servers break."""

    seed: int = 7
    rate: int = 50
    wide: int = WIDE
    rounds: int = 1


class Story:
    """One run. Afterwards the lake, the models and the capture are what tests look at."""

    def __init__(self, binary: Path, folder: Path, servers: Servers, size: Size) -> None:
        self.servers, self.size = servers, size
        self.line = Line(binary, folder, servers.postgres, servers.kafka, servers.connect,
                         servers.minio)
        self.writer = Writer(servers.postgres, size.seed, size.wide)
        self.lake = Lake(f"s3://{BUCKET}/chain", servers.minio.delta_options())
        self.capture = folder / "topics.jsonl"
        self.before_phone: list[dict] = []

    def tell(self) -> "Story":
        """Everything, in order; nothing that was started here runs afterwards."""
        self.open()
        generator = self.generator()
        try:
            # The generator would work with our rows too if it found them when it starts.
            wait_until(lambda: "books" in self.line.log.read_text(), 30, "start of the generator")
            self.writer.add_customers()
            self.line.start()
            self.servers.connect.put()
            self.arrive("the initial read and the first stream")
            self.change_rows()
            self.arrive("updates, key changes and a cascade")
            self.change_columns()
            for _ in range(self.size.rounds):
                self.break_servers()
            self.writer.delete_customer(19)
            self.writer.move_customer(500, 501)
        finally:
            generator.terminate()
            generator.wait(30)
        self.finish()
        return self

    def open(self) -> None:
        """The bank's first rows, the audit, and the models' sources."""
        postgres = self.servers.postgres
        audit.install(postgres, TABLES)
        self.line.run("generate", "--once", "--postgres", self.line.database,
                      "--seed", self.size.seed)
        postgres.execute("alter table customers add column notes text")
        self.line.write_sources()

    def generator(self):
        return self.line.start_program("generate", "--postgres", self.line.database,
                                       "--rate", self.size.rate, "--seed", self.size.seed + 1)

    def change_rows(self) -> None:
        """Wide values that do not travel, keys that change, one delete that takes others along."""
        write_ = self.writer
        for number in (0, 3, 6, 12, 15):
            write_.rename(number, f"Wide{number}")
        write_.rewrite_note(3)
        write_.change_twice(1)
        write_.move_customer(0, 500)
        write_.rename(500, "Moved")
        write_.move_customer(2, 502)
        write_.move_transaction(13, 513)
        write_.delete_customer(14)
        write_.add_customer(14)
        for number in (15, 16, 17, 18):
            write_.transfer(number, number + 1)

    def change_columns(self) -> None:
        """A column is added; freshet learns of it later than its first values arrive."""
        self.writer.add_phone()
        for number in (1, 4, 500):
            self.writer.set_phone(number, f"+47 {number}")
        self.arrive("rows with an unknown column")
        self.before_phone = self.lake.rows("source/customers")
        self.line.stop()
        self.line.write_sources()
        self.line.start()
        for number in (5, 6):
            self.writer.set_phone(number, f"+45 {number}")
        self.writer.rename(4, "After")
        self.arrive("rows with the column, which freshet knows now")

    def break_servers(self) -> None:
        """Connector, broker, freshet and worker, each while the bank goes on."""
        servers = self.servers
        servers.connect.restart_connector()
        self.arrive("what follows a restart of the connector")
        servers.kafka.restart()
        self.arrive("what follows a restart of the broker")
        self.line.kill()
        self.line.start()
        self.arrive("what follows a kill of freshet")
        servers.connect.kill()
        servers.connect.start()
        servers.connect.wait_running()
        self.arrive("what follows a kill of the worker")

    def finish(self) -> None:
        """Waits until nothing is under way any more, keeps the topics, and ends the service."""
        self.arrive("the last row")
        wait_until(self.is_idle, ARRIVAL_SECONDS_MAX, "freshet at the end of every topic")
        self.line.stop()
        write(self.servers.kafka, PREFIX, self.capture)

    def arrive(self, what: str) -> None:
        """Waits until a marker written now is among the current rows of the lake."""
        word = self.writer.mark()

        def seen() -> bool:
            self.line.keep_running()
            rows = self.lake.rows("source/customers")
            return any(row["id"] == MARKER and row["first_name"] == word for row in rows)

        wait_until(seen, ARRIVAL_SECONDS_MAX, f"{what} in the lake")

    def is_idle(self) -> bool:
        """Whether freshet has read and committed every record of every topic."""
        self.line.keep_running()
        offsets = self.line.status()["offsets"]
        ours = {(topic, int(partition)): offset for topic, partitions in offsets.items()
                for partition, offset in partitions.items()}
        return ours == self.ends()

    def ends(self) -> dict[tuple[str, int], int]:
        """The end offset of each partition of our topics that has a record."""
        kafka = self.servers.kafka
        names = {topic: count for topic, count in kafka.topics().items()
                 if topic.startswith(f"{PREFIX}.")}
        consumer = kafka.consumer()
        try:
            ends = {(topic, number): consumer.get_watermark_offsets(
                        TopicPartition(topic, number), timeout=10)[1]
                    for topic, count in names.items() for number in range(count)}
        finally:
            consumer.close()
        return {place: end for place, end in ends.items() if end}
