"""MinIO: object storage with S3's interface, conditional puts included.

Its credentials are drawn at random for each run and given to programs by the environment alone.
"""

import os
import secrets

import boto3
import requests
from botocore.config import Config

from .cache import CACHE, require
from .server import Server

REGION = "us-east-1"
BUCKET = "freshet"


class Minio(Server):
    """One server on one folder, with the empty bucket `freshet`."""

    name = "minio"

    def __init__(self) -> None:
        self.program = require("minio", CACHE / "bin" / "minio")
        super().__init__()
        self.access_key = secrets.token_hex(8)
        self.secret_key = secrets.token_hex(16)
        self.storage = self.folder / "objects"
        self._s3 = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def s3(self):
        """A boto3 client that tries once, so that tests see each status."""
        if self._s3 is None:
            self._s3 = boto3.client(
                "s3", endpoint_url=self.url, region_name=REGION,
                aws_access_key_id=self.access_key, aws_secret_access_key=self.secret_key,
                config=Config(retries={"total_max_attempts": 1}, connect_timeout=5,
                              s3={"addressing_style": "path"}),
            )
        return self._s3

    def prepare(self) -> None:
        self.storage.mkdir()

    def command(self) -> list[str]:
        return [str(self.program), "server", str(self.storage),
                "--address", f"{self.host}:{self.port}",
                "--console-address", f"{self.host}:0", "--quiet"]

    def environment(self) -> dict[str, str]:
        return {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key,
                "MINIO_BROWSER": "off", "HOME": str(self.folder)}

    def ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/minio/health/ready", timeout=2).ok
        except requests.RequestException:
            return False

    def start(self) -> "Minio":
        first = not self._prepared
        super().start()
        if first:
            self.create_bucket(BUCKET)
        return self

    def create_bucket(self, bucket: str) -> None:
        """An empty bucket, so that a test need not share one."""
        self.s3.create_bucket(Bucket=bucket)

    def keys(self, prefix: str = "", bucket: str = BUCKET) -> list[str]:
        """The keys of all objects under `prefix`, however many pages they fill."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def client_environment(self) -> dict[str, str]:
        """This process's variables plus what an S3 client needs to find this server."""
        return os.environ | {
            "AWS_ENDPOINT_URL": self.url, "AWS_REGION": REGION, "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def delta_options(self) -> dict[str, str]:
        """The storage options with which the Python package deltalake reads a table here."""
        return {"aws_endpoint": self.url, "aws_region": REGION, "allow_http": "true",
                "aws_access_key_id": self.access_key, "aws_secret_access_key": self.secret_key}
