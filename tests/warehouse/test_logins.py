"""Logins: key pair (encrypted too), access token, password; and that no secret is written down."""

import base64
import http.server
import json
import threading
from pathlib import Path

import jwt
import pyarrow
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from deltalake import DeltaTable, QueryBuilder

from .desk import Desk
from .servers import Emulator

PASSPHRASE = "a passphrase that nobody may see"
TOKEN = "pat-4711-that-nobody-may-see"


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key, passphrase: str | None) -> str:
    kind = (serialization.BestAvailableEncryption(passphrase.encode()) if passphrase
            else serialization.NoEncryption())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             kind).decode()


def public_pem(key) -> str:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def by_key(url: str, folder: Path, pem: str, passphrase: bool) -> str:
    (folder / "key.p8").write_text(pem)
    more = 'passphrase_env = "FRESHET_PASSPHRASE"\n' if passphrase else ""
    return (f'[publish.snowflake]\naccount = "myorg-bank"\nurl = "{url}"\nuser = "freshet"\n'
            f'private_key_file = "{folder}/key.p8"\n{more}')


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_a_key_pair_logs_in_and_another_does_not(freshet, lake, tmp_path, key, passphrase):
    (tmp_path / "key.pub").write_text(public_pem(key))
    server = Emulator(freshet, "--public-key", str(tmp_path / "key.pub")).start()
    try:
        pem = private_pem(key, passphrase)
        target = by_key(server.url, tmp_path, pem, passphrase is not None)
        desk = Desk(freshet, tmp_path, lake, target, FRESHET_PASSPHRASE=PASSPHRASE)
        desk.publish("push")
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (tmp_path / "key.p8").write_text(private_pem(other, passphrase))
        assert "390144" in desk.publish("push", code=3)
        if passphrase:
            wrong = desk.publish("push", code=2, FRESHET_PASSPHRASE="wrong")
            assert "does not open" in wrong and "wrong" not in wrong.replace("does not open", "")
    finally:
        server.remove()


def test_the_token_is_signed_as_snowflake_asks(freshet, lake, tmp_path, key):
    """Checked by another library: claims, fingerprint and signature."""
    seen = []

    class Login(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append(json.loads(body)["data"])
            answer = json.dumps({"success": False, "code": "390144", "message": "no"}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Login)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        desk = Desk(freshet, tmp_path, lake, by_key(url, tmp_path, private_pem(key, None), False))
        desk.publish("push", code=3)
    finally:
        server.shutdown()
    claims = jwt.decode(seen[0]["TOKEN"], public_pem(key), algorithms=["RS256"])
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    fingerprint = base64.b64encode(digest.finalize()).decode()
    assert claims["sub"] == "MYORG-BANK.FRESHET"
    assert claims["iss"] == f"MYORG-BANK.FRESHET.SHA256:{fingerprint}"
    assert claims["exp"] > claims["iat"]
    assert seen[0]["AUTHENTICATOR"] == "SNOWFLAKE_JWT" and seen[0]["ACCOUNT_NAME"] == "MYORG-BANK"


def test_an_access_token_logs_in_and_nothing_writes_a_secret_down(freshet, lake, tmp_path):
    """Everything that the engine wrote, at its loudest, is searched."""
    server = Emulator(freshet, "--secret-env", "WANTED", WANTED=TOKEN).start()
    try:
        for authenticator, secret in [("token", TOKEN), ("password", TOKEN)]:
            folder = tmp_path / authenticator
            target = (f'[publish.snowflake]\naccount = "bank"\nurl = "{server.url}"\n'
                      f'user = "freshet"\nauthenticator = "{authenticator}"\n'
                      f'secret_env = "FRESHET_SECRET"\n')
            desk = Desk(freshet, folder, lake, target, FRESHET_SECRET=secret, RUST_LOG="trace")
            desk.publish("push")
            desk.publish("status")
            desk.publish("verify")
            desk.publish("push", code=3, FRESHET_SECRET=f"{TOKEN}-wrong")
            desk.publish("setup", "--print")
        # Nor a row's value, in anything but the lake and what was staged.
        people = DeltaTable(str(lake / "marts/dim_customers"))
        rows = QueryBuilder().register("t", people).execute("select email from t limit 50")
        emails = [str(email).encode() for email in pyarrow.table(rows.read_all())["email"]]
        assert len(emails) == 50
        quiet = [*tmp_path.rglob("said.log"), *lake.rglob("status.json")]
        for path in quiet:
            body = path.read_bytes()
            assert not [email for email in emails if email in body], f"{path} holds a row"
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        said = [path for path in written if path.name == "said.log"]
        assert len(said) == 2 and all(path.stat().st_size > 1000 for path in said)
        # Session tokens of the emulator begin alike; stage credentials are its name.
        for path in written:
            body = path.read_bytes()
            for secret in [TOKEN.encode(), b"session-", b"master-", b"AWS_SECRET_KEY"]:
                assert secret not in body, f"{path} holds {secret!r}"
    finally:
        server.remove()


def test_a_secret_in_the_configuration_is_refused(freshet, lake, tmp_path):
    target = ('[publish.snowflake]\naccount = "bank"\nuser = "freshet"\n'
              'password = "pa55-that-nobody-may-see"\n')
    said = Desk(freshet, tmp_path, lake, target).publish("status", code=2)
    assert "freshet.toml:" in said and "pa55" not in said
