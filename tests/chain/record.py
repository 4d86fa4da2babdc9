"""Records the short capture that the tests replay where no server is.

    python -m chain.record FRESHET FOLDER      (from tests/, with the Python of tests/install)

tells the whole story with a quiet bank and narrow notes, and writes topics.jsonl.gz and
_sources.yml to FOLDER. It must never be part of a test run.
"""

import gzip
import shutil
import sys
import tempfile
from pathlib import Path

from stack.connect import Connect
from stack.kafka import Kafka
from stack.minio import Minio
from stack.postgres import Postgres

from .story import Servers, Size, Story

QUIET = Size(seed=3, rate=1, wide=2_100)


def main(binary: Path, folder: Path) -> None:
    """Starts the servers, tells the story, and keeps what was on the topics."""
    postgres, kafka, minio = Postgres(), Kafka(), Minio()
    connect = Connect(kafka, postgres)
    started = [postgres, kafka, connect, minio]
    try:
        for server in started:
            server.start()
        work = Path(tempfile.mkdtemp(prefix="freshet-record-"))
        story = Story(binary, work, Servers(postgres, kafka, connect, minio), QUIET)
        try:
            story.tell()
        finally:
            story.line.kill()
        # Without a time in its header, so that equal captures are equal files.
        packed = gzip.compress(story.capture.read_bytes(), mtime=0)
        (folder / "topics.jsonl.gz").write_bytes(packed)
        shutil.copy(story.line.models / "staging" / "_sources.yml", folder)
        shutil.rmtree(work)
    finally:
        for server in reversed(started):
            server.remove()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
