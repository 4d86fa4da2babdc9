"""The two Snowflakes of these tests: the emulator inside the binary, and fakesnow."""

import sys
import urllib.request
from pathlib import Path

from stack.server import Server


class Http(Server):
    """A server that answers on its port."""

    def ready(self) -> bool:
        try:
            urllib.request.urlopen(f"http://{self.host}:{self.port}/emulator/logins", timeout=1)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


class Emulator(Http):
    """`freshet emulator`."""

    name = "emulator"

    def __init__(self, binary: Path, *options: str, **environment: str) -> None:
        super().__init__()
        self._command = [str(binary), "emulator", "--port", str(self.port), *options]
        self._environment = environment

    def command(self) -> list[str]:
        return self._command

    def environment(self) -> dict[str, str]:
        return self._environment


class Fakesnow(Http):
    """fakesnow, with the words swapped that `fakesnow_server` names."""

    name = "fakesnow"

    def command(self) -> list[str]:
        server = Path(__file__).parent / "fakesnow_server.py"
        return [sys.executable, str(server), str(self.port)]
