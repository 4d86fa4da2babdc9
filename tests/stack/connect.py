"""Kafka Connect in distributed mode with Debezium's connector for PostgreSQL.

The connector's settings are those that `freshet connector apply` puts (debezium.json of the engine),
where `${env:..}` stands for what this worker's environment holds. It must never store a password in Connect's topics or tell it by REST.
"""

import json

import requests

from .cache import HERE, jars
from .java import java
from .kafka import Kafka
from .postgres import DATABASE, USER, Postgres
from .server import Server, ServerError, wait_until

# What the line rests on, whatever the port; compose.yaml is held to the same.
SETTINGS = {
    "group.id": "freshet-connect",
    "config.storage.topic": "connect-configs",
    "offset.storage.topic": "connect-offsets",
    "status.storage.topic": "connect-status",
    "config.storage.replication.factor": "1",
    "offset.storage.replication.factor": "1",
    "status.storage.replication.factor": "1",
    "offset.flush.interval.ms": "1000",
    "topic.creation.enable": "true",
    "config.providers": "env",
    "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
    "config.providers.env.param.allowlist.pattern": "PG[A-Z]+",
    "key.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
}
CONNECTOR = HERE.parent.parent / "engine" / "src" / "connector" / "debezium.json"
CONNECTOR_NAME = "banking"
REST_SECONDS_MAX = 30.0


def connector_settings() -> dict[str, str]:
    """The settings of debezium.json."""
    return json.loads(CONNECTOR.read_text())


class Connect(Server):
    """One worker. `url` is its REST address."""

    name = "connect"
    start_seconds_max = 120.0

    def __init__(self, kafka: Kafka, postgres: Postgres) -> None:
        self.jars, self.plugin = jars("kafka"), jars("debezium")
        self.java = java()
        super().__init__()
        self.kafka, self.postgres = kafka, postgres
        self.properties = self.folder / "connect.properties"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def prepare(self) -> None:
        plugins = self.folder / "plugins"
        plugins.mkdir()
        (plugins / "debezium").symlink_to(self.plugin)
        settings = SETTINGS | {
            "bootstrap.servers": self.kafka.bootstrap,
            "listeners": self.url,
            "rest.advertised.host.name": self.host,
            "plugin.path": str(plugins),
            # The plugins say themselves what they are; scanning every class takes seconds.
            "plugin.discovery": "service_load",
        }
        self.properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    def environment(self) -> dict[str, str]:
        postgres = self.postgres
        return {"PGHOST": postgres.host, "PGPORT": str(postgres.port), "PGUSER": USER,
                "PGPASSWORD": postgres.password, "PGDATABASE": DATABASE}

    def command(self) -> list[str]:
        main_class = "org.apache.kafka.connect.cli.ConnectDistributed"
        return self.java.command(self.jars, main_class, self.properties)

    def ready(self) -> bool:
        # Before the group has formed, it answers 404, or not in time.
        try:
            answer = requests.get(f"{self.url}/connector-plugins", timeout=2)
            wanted = connector_settings()["connector.class"]
            return answer.ok and any(each["class"] == wanted for each in answer.json())
        except requests.RequestException:
            return False

    def put(self, name: str = CONNECTOR_NAME, **changed: str) -> None:
        """Creates or changes a connector and waits until it and its task run.

        `changed` overrides settings of debezium.json; underscores mean dots.
        """
        settings = connector_settings()
        settings |= {key.replace("_", "."): value for key, value in changed.items()}
        path = f"{name}/config"
        wait_until(lambda: self._accepted("PUT", path, json=settings), REST_SECONDS_MAX,
                   f"put of {name}")
        self.wait_running(name)

    def wait_running(self, name: str = CONNECTOR_NAME, seconds: float = 60.0) -> None:
        """Waits until the connector and its task run; ServerError at once if one has failed."""

        def running() -> bool:
            try:
                answer = requests.get(f"{self.url}/connectors/{name}/status", timeout=10)
            except requests.RequestException:
                return False
            if not answer.ok:
                return False
            status = answer.json()
            parts = [status["connector"], *status["tasks"]]
            for part in parts:
                if part["state"] == "FAILED":
                    raise ServerError(f"connector {name} failed: {part.get('trace', '')[:2000]}")
            return len(parts) > 1 and all(part["state"] == "RUNNING" for part in parts)

        wait_until(running, seconds, f"connector {name} runs")

    def settings(self, name: str = CONNECTOR_NAME) -> dict[str, str]:
        """The settings of a connector as Connect tells them to whoever asks."""
        answer = requests.get(f"{self.url}/connectors/{name}/config", timeout=REST_SECONDS_MAX)
        answer.raise_for_status()
        return answer.json()

    def restart_connector(self, name: str = CONNECTOR_NAME) -> None:
        """Restarts the connector with its task, as an operator would after a failure."""
        path = f"{name}/restart?includeTasks=true"
        wait_until(lambda: self._accepted("POST", path), REST_SECONDS_MAX, f"restart of {name}")
        self.wait_running(name)

    def delete(self, name: str = CONNECTOR_NAME) -> None:
        """Removes the connector; its offsets and the database's slot stay."""
        wait_until(lambda: self._accepted("DELETE", name), REST_SECONDS_MAX, f"delete of {name}")

    def _accepted(self, method: str, path: str, **content) -> bool:
        """Whether Connect took the request; False while it can't yet, ServerError if it won't."""
        try:
            answer = requests.request(method, f"{self.url}/connectors/{path}",
                                      timeout=REST_SECONDS_MAX, **content)
        except requests.RequestException:
            return False
        # 409: the group is being formed anew.
        if answer.status_code == 409:
            return False
        if not answer.ok:
            raise ServerError(f"connect refused {method} {path}: {answer.text[:1000]}")
        return True
