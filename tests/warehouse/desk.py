"""A lake of the bank, and `freshet publish` on it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import snowflake.connector

ROOT = Path(__file__).resolve().parents[2]
END_SECONDS_MAX = 120


class Desk:
    """A configuration with one target, and the commands on it."""

    def __init__(self, binary: Path, folder: Path, lake: Path, target: str,
                 models: Path = ROOT / "models", **environment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.binary, self.folder, self.lake = binary, folder, lake
        self.environment = {**os.environ, **environment}
        self.config = folder / "freshet.toml"
        self.config.write_text(
            f'[kafka]\nbrokers = "127.0.0.1:1"\nprefix = "banking_server"\n'
            f'[lake]\nurl = "{lake}"\n[models]\ndir = "{models}"\n{target}')

    def run(self, *words: str, code: int = 0, **environment: str) -> str:
        """Runs a command, which must end with this code; all that it wrote."""
        done = subprocess.run(
            [str(self.binary), "--config", str(self.config), *words], capture_output=True,
            text=True, timeout=END_SECONDS_MAX, env={**self.environment, **environment},
            check=False)
        said = done.stdout + done.stderr
        with (self.folder / "said.log").open("a") as log:
            log.write(said)
        assert done.returncode == code, f"{words}: {done.returncode}\n{said}"
        return said

    def publish(self, *words: str, code: int = 0, **environment: str) -> str:
        return self.run("publish", *words, code=code, **environment)

    def verify(self) -> list[dict]:
        """What the target's own hashes say, table by table."""
        said = self.publish("verify", "--json")
        return json.loads(said.splitlines()[0])["tables"]

    def epochs(self) -> list[int]:
        """Epochs with models, oldest first."""
        found = []
        for path in sorted((self.lake / "_freshet/epochs").glob("*.json")):
            decision = json.loads(path.read_text())
            if decision["models"]:
                found.append(decision["epoch"])
        return found


def password(url: str, **more: str) -> str:
    """A target that logs in with the password in FRESHET_SECRET."""
    extra = "".join(f'{name} = "{value}"\n' for name, value in more.items())
    return (f'[publish.snowflake]\naccount = "bank"\nurl = "{url}"\nuser = "freshet"\n'
            f'authenticator = "password"\nsecret_env = "FRESHET_SECRET"\n{extra}')


def make_lake(binary: Path, folder: Path, seconds: int = 5) -> Path:
    """A lake that the demo has filled."""
    subprocess.run([str(binary), "demo", "--seconds", str(seconds), "--lake", str(folder),
                    "--json"], check=True, capture_output=True, timeout=END_SECONDS_MAX)
    return folder


def copy_lake(lake: Path, to: Path) -> Path:
    """The same lake for a test that changes what a publisher remembers."""
    shutil.copytree(lake, to)
    return to


def connector(server, user: str = "reader", secret: str = "tulip"):
    """Snowflake's own driver, as any reader uses it."""
    return snowflake.connector.connect(
        user=user, password=secret, account="bank", host=server.host, port=server.port,
        protocol="http", login_timeout=20,
        session_parameters={"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False})
