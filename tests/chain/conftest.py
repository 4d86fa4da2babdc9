"""The run that every test of this folder looks at: told once, compared many times."""

import os

import pytest


@pytest.fixture(scope="session")
def story(postgres, kafka, connect, minio, freshet, tmp_path_factory):
    """chain.story.Story, told to its end."""
    from .story import Servers, Size, Story

    servers = Servers(postgres, kafka, connect, minio)
    size = Size(rounds=6) if os.environ.get("FRESHET_LONG") else Size()
    told = Story(freshet, tmp_path_factory.mktemp("chain"), servers, size)
    try:
        yield told.tell()
    finally:
        told.line.kill()
