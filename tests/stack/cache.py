"""Where tests/install put things, and why something is not there.

It only looks; it must never install or download.
"""

import os
import re
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("FRESHET_CACHE") or Path.home() / ".cache" / "freshet")


class Missing(Exception):
    """A part is not on this machine: its tests are skipped with this text."""


def versions() -> dict[str, str]:
    """The pinned versions of versions.env, by name."""
    text = (HERE / "versions.env").read_text()
    return dict(re.findall(r"^(\w+)=(\S+)$", text, re.MULTILINE))


def require(part: str, path: Path) -> Path:
    """`path` if it exists, else Missing with the reason that tests/install noted for `part`."""
    if path.exists():
        return path
    raise Missing(f"{part} is missing: {reason(part)}")


def reason(part: str) -> str:
    """Why `part` is not there, as tests/install wrote it down."""
    noted = CACHE / "missing.txt"
    if noted.exists():
        for line in noted.read_text().splitlines():
            if line.startswith(f"{part}: "):
                return line.removeprefix(f"{part}: ")
    return "run tests/install"


def jars(folder: str) -> Path:
    """The folder of jars that tests/install made, such as `kafka`."""
    return require(folder, CACHE / "jars" / folder)
