"""compose.yaml is held to what the native tests run with: versions, settings, connector.

It reads text only, save for two checks: `docker compose config`, where that command exists, and the
bucket's script against a real MinIO. It must never start a container.
"""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "compose.yaml").read_text()
SERVICES = yaml.safe_load(TEXT)["services"]
ONE_SHOTS = {"bucket", "connector"}
SECRETS = {"POSTGRES_PASSWORD", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"}
# What Debezium's image calls by names of its own, instead of CONNECT_ and the setting's name.
IMAGE_NAMES = {"bootstrap.servers", "group.id", "config.storage.topic", "offset.storage.topic",
               "status.storage.topic", "offset.flush.interval.ms", "key.converter",
               "value.converter"}


def tag(service: str) -> str:
    return SERVICES[service]["image"].rpartition(":")[2]


def variable(prefix: str, setting: str) -> str:
    return prefix + setting.replace(".", "_").upper()


@pytest.fixture(scope="module")
def pinned() -> dict[str, str]:
    from stack.cache import versions
    return versions()


def test_versions_are_the_tested_ones(pinned):
    assert tag("postgres").split("-")[0] == pinned["POSTGRES_MAJOR"]
    assert tag("kafka") == pinned["KAFKA_VERSION"]
    assert pinned["DEBEZIUM_VERSION"].startswith(tag("connect") + ".")
    assert tag("connector") == tag("connect")
    assert SERVICES["minio"]["build"]["args"]["MINIO_VERSION"] == pinned["MINIO_VERSION"]


def test_postgres_has_the_tested_settings():
    native = pytest.importorskip("stack.postgres")
    service = SERVICES["postgres"]
    words = service["command"]
    assert words[0] == "postgres" and set(words[1::2]) == {"-c"}
    assert dict(word.split("=", 1) for word in words[2::2]) == native.SETTINGS
    assert service["environment"]["POSTGRES_DB"] == native.DATABASE
    assert service["environment"]["POSTGRES_USER"] == native.USER
    script = native.BANK_SQL.relative_to(ROOT)
    assert any(volume.startswith(f"./{script}:/docker-entrypoint-initdb.d/")
               for volume in service["volumes"])


def test_kafka_has_the_tested_settings():
    native = pytest.importorskip("stack.kafka")
    environment = dict(SERVICES["kafka"]["environment"])
    for place in ("controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"):
        del environment[variable("KAFKA_", place)]
    assert environment == {variable("KAFKA_", key): value
                           for key, value in native.SETTINGS.items()}
    assert any(volume.startswith("kafka:") for volume in SERVICES["kafka"]["volumes"])


def test_connect_has_the_tested_settings():
    native = pytest.importorskip("stack.connect")
    environment = {key: value for key, value in SERVICES["connect"]["environment"].items()
                   if not key.startswith("PG")}
    assert environment.pop("BOOTSTRAP_SERVERS") == "kafka:9092"
    assert environment == {
        variable("" if key in IMAGE_NAMES else "CONNECT_", key): value
        for key, value in native.SETTINGS.items()}


def test_connector_is_the_tested_one():
    native = pytest.importorskip("stack.connect")
    service = SERVICES["connector"]
    file = native.CONNECTOR.relative_to(ROOT)
    assert service["volumes"] == [f"./{file}:/connector.json:ro"]
    assert service["command"][-1].endswith(f"/connectors/{native.CONNECTOR_NAME}/config")
    # Every variable that the settings name is one that the worker has and may tell.
    named = re.findall(r"\$\{env:(\w+)\}", native.CONNECTOR.read_text())
    allowed = re.compile(native.SETTINGS["config.providers.env.param.allowlist.pattern"])
    environment = SERVICES["connect"]["environment"]
    assert named and all(allowed.fullmatch(name) and name in environment for name in named)
    assert environment["PGUSER"] == SERVICES["postgres"]["environment"]["POSTGRES_USER"]
    assert environment["PGDATABASE"] == SERVICES["postgres"]["environment"]["POSTGRES_DB"]


def test_connector_settings_are_sane():
    native = pytest.importorskip("stack.connect")
    settings = json.loads(native.CONNECTOR.read_text())
    assert all(isinstance(value, str) for value in settings.values())
    topic = f"{settings['topic.prefix']}.transaction"
    assert re.fullmatch(settings["topic.creation.transaction.include"], topic)
    assert settings["topic.creation.transaction.partitions"] == "1"


def test_every_server_is_watched_and_waited_for():
    for name, service in SERVICES.items():
        assert ("healthcheck" in service) != (name in ONE_SHOTS), name
        for other, wait in service.get("depends_on", {}).items():
            wanted = "completed_successfully" if other in ONE_SHOTS else "healthy"
            assert wait["condition"] == f"service_{wanted}", (name, other)


def test_no_secret_has_a_default():
    used = re.findall(r"\$\{(\w+)(:?[-?+])?", TEXT)
    assert {name for name, how in used if how == ":?"} == SECRETS
    assert {how for name, how in used if name in SECRETS} == {":?"}
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|ACCESS_KEY|ROOT_USER", key):
                assert value.startswith("${"), key
    example = (ROOT / ".env.example").read_text()
    assert dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE)) == dict.fromkeys(SECRETS, "")


def test_ports_are_on_loopback_only():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)


def test_mounted_files_exist():
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    for mount in mounts:
        if mount.startswith("./"):
            assert (ROOT / mount.split(":")[0]).exists(), mount


def test_images_do_not_run_as_root():
    for file in (ROOT / "Dockerfile", ROOT / "docker/minio.Dockerfile"):
        last_stage = file.read_text().rpartition("\nFROM ")[2]
        users = re.findall(r"^USER (\S+)$", last_stage, re.MULTILINE)
        assert users and users[-1] not in ("root", "0"), file.name


def test_image_is_built_with_the_declared_rust():
    wanted = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
    assert f"FROM rust:{wanted['rust-version']}-" in (ROOT / "Dockerfile").read_text()


def test_freshet_is_told_where_the_servers_are():
    settings = tomllib.loads((ROOT / "docker/freshet.toml").read_text())
    kafka = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert kafka == f"PLAINTEXT://{settings['kafka']['brokers']}"
    *_, minio, bucket = SERVICES["bucket"]["entrypoint"]
    assert settings["lake"]["s3_endpoint"] == minio
    assert settings["lake"]["url"].startswith(f"s3://{bucket}/")
    assert f"./models:{settings['models']['dir']}:ro" in SERVICES["freshet"]["volumes"]
    # What makes a restart quick outlives the container, and its user may write there.
    kept = settings["memory"]["cold_dir"]
    assert f"freshet:{kept}" in SERVICES["freshet"]["volumes"]
    assert f"--home-dir {kept} --create-home" in (ROOT / "Dockerfile").read_text()
    assert SERVICES["connector"]["command"][-1].startswith(settings["connector"]["url"] + "/")


def test_freshet_prints_the_tested_connector(freshet):
    native = pytest.importorskip("stack.connect")
    printed = subprocess.run([freshet, "--config", ROOT / "docker/freshet.toml",
                              "connector", "print"], capture_output=True, text=True)
    assert printed.returncode == 0, printed.stderr
    assert json.loads(printed.stdout) == native.connector_settings()


def test_docker_compose_accepts_it():
    asked = ["docker", "compose", "version"]
    if not shutil.which("docker") or subprocess.run(asked, capture_output=True).returncode:
        pytest.skip("the command `docker compose` is missing on this machine")
    config = ["docker", "compose", "--file", ROOT / "compose.yaml", "--env-file", os.devnull,
              "config", "--quiet"]
    filled = os.environ | dict.fromkeys(SECRETS, "filled-in")
    good = subprocess.run(config, capture_output=True, text=True, env=filled)
    assert good.returncode == 0, good.stderr
    for secret in SECRETS:
        lacking = {key: value for key, value in filled.items() if key != secret}
        bad = subprocess.run(config, capture_output=True, text=True, env=lacking)
        assert bad.returncode != 0 and f"set {secret} in .env" in bad.stderr


def test_bucket_script_makes_it_once(minio):
    if not shutil.which("curl"):
        pytest.skip("curl is missing on this machine")
    script = [ROOT / "docker/make-bucket.sh", minio.url, "made-by-script"]
    environment = os.environ | minio.environment()
    for said in ("made", "there already"):
        run = subprocess.run(script, capture_output=True, text=True, env=environment)
        assert run.returncode == 0 and said in run.stdout, run.stderr
    minio.s3.head_bucket(Bucket="made-by-script")
    wrong = environment | {"MINIO_ROOT_PASSWORD": "not the password"}
    refused = subprocess.run(script, capture_output=True, text=True, env=wrong)
    assert refused.returncode == 1 and "could not be made" in refused.stderr
