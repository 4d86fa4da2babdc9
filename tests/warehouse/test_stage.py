"""Staged files as Snowflake's own driver would open them."""

import base64
import hashlib
import io
import json

import pyarrow.parquet
from snowflake.connector.encryption_util import SnowflakeEncryptionUtil
from snowflake.connector.storage_client import SnowflakeFileEncryptionMaterial

from .desk import Desk, password
from .servers import Emulator

# The emulator's, which protects nothing: engine/src/emulator/files.rs.
MASTER = base64.b64encode(b"emulator-master!").decode()


class Metadata:
    """The three texts that lie beside an encrypted file."""

    def __init__(self, told: dict) -> None:
        self.key, self.iv, self.matdesc = told["x-amz-key"], told["x-amz-iv"], told["x-amz-matdesc"]


def kept(folder):
    files = sorted(path for path in folder.iterdir() if path.suffix == ".parquet")
    assert len(files) >= 11, "not every mart was staged"
    return [(path, json.loads(path.with_name(path.name + ".json").read_text())) for path in files]


def push(freshet, lake, folder, encryption: str):
    server = Emulator(freshet, "--keep-files", str(folder / "kept")).start()
    try:
        target = password(server.url, stage_encryption=encryption)
        desk = Desk(freshet, folder, lake, target, FRESHET_SECRET="tulip")
        desk.publish("push")
        assert all(table["same"] for table in desk.verify())
    finally:
        server.remove()
    return kept(folder / "kept")


def test_an_encrypted_stage_gets_files_that_the_driver_opens(freshet, lake, tmp_path):
    for path, told in push(freshet, lake, tmp_path, "full"):
        described = json.loads(told["x-amz-matdesc"])
        material = SnowflakeFileEncryptionMaterial(
            query_stage_master_key=MASTER, query_id=described["queryId"],
            smk_id=int(described["smkId"]))
        opened = SnowflakeEncryptionUtil.decrypt_file(
            Metadata(told), material, str(path), tmp_dir=str(tmp_path))
        body = open(opened, "rb").read()
        assert base64.b64encode(hashlib.sha256(body).digest()).decode() == told["sfc-digest"]
        assert path.read_bytes()[:4] != b"PAR1"
        assert "_OP" in pyarrow.parquet.read_table(io.BytesIO(body)).column_names


def test_a_stage_that_encrypts_by_itself_gets_plain_files(freshet, lake, tmp_path):
    for path, told in push(freshet, lake, tmp_path, "sse"):
        body = path.read_bytes()
        assert body[:4] == b"PAR1" and "x-amz-key" not in told
        assert base64.b64encode(hashlib.sha256(body).digest()).decode() == told["sfc-digest"]
