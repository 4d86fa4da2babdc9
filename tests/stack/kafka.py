"""Apache Kafka in KRaft mode, one node that is broker and controller.

Its log folder outlives `stop`, `kill` and `restart`. Clients come from confluent-kafka. It must
never create a topic because somebody asked for one: a typing error would pass for an empty topic.
"""

import base64
import uuid
from collections.abc import Iterable

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .cache import jars
from .java import java
from .server import Server, ServerError, free_port, wait_until

# What the line rests on, whatever the port; compose.yaml is held to the same.
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "inter.broker.listener.name": "PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "num.partitions": "3",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
}
READ_SECONDS_MAX = 60.0
POLL_TIMEOUT_SECONDS = 0.2


class Kafka(Server):
    """One broker. `bootstrap` is its address."""

    name = "kafka"

    def __init__(self) -> None:
        self.jars = jars("kafka")
        self.java = java()
        super().__init__()
        self.controller_port = free_port()
        self.properties = self.folder / "server.properties"
        self._admin: AdminClient | None = None

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def admin(self) -> AdminClient:
        """Made at its first use: a client complains aloud while its broker is not up."""
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        return self._admin

    def prepare(self) -> None:
        controller = f"{self.host}:{self.controller_port}"
        settings = SETTINGS | {
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "log.dirs": str(self.folder / "logs"),
        }
        self.properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # A cluster id must not begin with a dash, or the tool takes it for an option.
        cluster = cluster.replace("-", "A", 1) if cluster.startswith("-") else cluster
        self.java.run(self.jars, "kafka.tools.StorageTool", "format",
                      "-t", cluster, "-c", self.properties, log=self.log, cwd=self.folder)

    def command(self) -> list[str]:
        return self.java.command(self.jars, "kafka.Kafka", self.properties)

    def ready(self) -> bool:
        try:
            return bool(self.admin.list_topics(timeout=1).brokers)
        except Exception:  # noqa: BLE001 - not up yet, whatever the client calls it
            return False

    def create_topic(self, topic: str, partitions: int = 3, **config: str) -> None:
        """Creates `topic` and waits for the broker's word. Underscores in `config` mean dots.

        Records are kept for ever: a bank's own times are older than any retention.
        """
        settings = {"retention.ms": "-1"} | {key.replace("_", "."): value for key, value in config.items()}
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=settings)
        self.admin.create_topics([new])[topic].result(timeout=30)

    def topics(self) -> dict[str, int]:
        """The number of partitions of each topic."""
        listed = self.admin.list_topics(timeout=10).topics
        return {name: len(topic.partitions) for name, topic in listed.items()}

    def wait_for_topics(self, names: Iterable[str], seconds: float = 60.0) -> None:
        """Waits until every topic of `names` exists."""
        wanted = set(names)
        wait_until(lambda: wanted <= self.topics().keys(), seconds, f"topics {sorted(wanted)}")

    def consumer(self, **config) -> Consumer:
        """A consumer that joins no group's offsets; underscores in `config` mean dots."""
        settings = {key.replace("_", "."): value for key, value in config.items()}
        return Consumer({
            "bootstrap.servers": self.bootstrap, "group.id": f"test-{uuid.uuid4()}",
            "enable.auto.commit": False, "isolation.level": "read_committed",
            "enable.partition.eof": True,
            # An empty partition answers as soon as this is over: tests read to the end often.
            "fetch.wait.max.ms": 50} | settings)

    def read(self, topic: str, seconds: float = READ_SECONDS_MAX) -> list[Message]:
        """Every record of `topic` up to its present end, each partition in order."""
        consumer = self.consumer()
        try:
            partitions = range(self.topics()[topic])
            consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions])
            open_partitions, records = set(partitions), []

            def drained() -> bool:
                for record in consumer.consume(500, timeout=POLL_TIMEOUT_SECONDS):
                    if record.error() is None:
                        records.append(record)
                    elif record.error().name() == "_PARTITION_EOF":
                        open_partitions.discard(record.partition())
                    else:
                        raise ServerError(f"reading {topic}: {record.error()}")
                return not open_partitions

            wait_until(drained, seconds, f"reading {topic} to its end")
            return records
        finally:
            consumer.close()
