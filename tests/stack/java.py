"""The Java that Kafka and Connect run on: 17 or newer.

It only builds and runs command lines; which class runs when is its callers' business.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from .cache import Missing, reason

HEAP = "-Xmx768m"
# A server of one test ends before the better compiler pays for itself, on the cores that are tested.
COMPILER = "-XX:TieredStopAtLevel=1"
VERSION_MIN = 17


class Java:
    """A Java program and the way our servers call it."""

    def __init__(self, program: str) -> None:
        self.program = program

    def command(self, jars: Path, main_class: str, *arguments) -> list[str]:
        """The command line: a bounded heap, a collector and compiler for few cores, every jar of `jars`."""
        return [self.program, HEAP, COMPILER, "-XX:+UseSerialGC", "-cp", f"{jars}/*", main_class,
                *map(str, arguments)]

    def run(self, jars: Path, main_class: str, *arguments, log: Path, cwd: Path) -> None:
        """Runs it to its end, what it prints goes to `log`; CalledProcessError if it fails."""
        with log.open("ab") as out:
            subprocess.run(self.command(jars, main_class, *arguments), check=True,
                           stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, timeout=120)


def java() -> Java:
    """The machine's Java, or Missing with the reason."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not program or not Path(program).exists():
        raise Missing(f"java is missing: {reason('debian')}")
    said = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30).stderr
    found = re.search(r'version "(\d+)', said)
    if not found or int(found[1]) < VERSION_MIN:
        raise Missing(f"java {VERSION_MIN} or newer is missing: {program} is older")
    return Java(program)
