"""The peers, in a virtual environment of their own, `.venv-peers` in the checkout: they are no dependencies of ours."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["CHECKOUT", "Peers"]

CHECKOUT = Path(__file__).resolve().parents[1]
HOME = CHECKOUT / ".venv-peers"
PYTHON = HOME / "bin" / "python"
MADE_FOR = HOME / ".current"
OURS = ("--editable", f"{CHECKOUT}[sqlite]")
PEERS = ("aiohttp", "uvloop", "httpx", "httpx2", "scrapy", "crawlee", "aioscraper", "aiometer", "anyio", "granian")

SYSTEM = Path("/usr/bin/python3")
ASK_TAG = "import sys; print(sys.implementation.cache_tag)"
ASK_VERSIONS = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


class Peers:
    """The environment that all measured programs run in, ours too."""

    def __init__(self) -> None:
        """Find or make it: for this Python and this pyproject.toml, with all peers that can be had.

        Raises:
            subprocess.CalledProcessError: not even the engine could be installed.
        """
        self.python = PYTHON
        key = f"{sys.version} {OURS} {PEERS} {hashlib.sha256((CHECKOUT / 'pyproject.toml').read_bytes()).hexdigest()}"
        if not MADE_FOR.exists() or MADE_FOR.read_text() != key:
            print(f"installing the peers into {HOME}", file=sys.stderr, flush=True)
            venv.create(HOME, clear=True, with_pip=True, symlinks=os.name != "nt")
            _pip(*OURS, check=True)
            installed = _pip(*PEERS) or [_pip(peer) for peer in PEERS]  # one by one: each that can be had is worth it
            if installed is not True and not all(installed):
                print(f"not all peers are there; to try again, remove {HOME}", file=sys.stderr, flush=True)
            MADE_FOR.write_text(key)

    def system(self) -> Path | None:
        """Return the system's own Python, where it is another one than this and can use what is installed for this."""
        if not SYSTEM.exists() or SYSTEM.resolve() == Path(sys.executable).resolve():
            return None
        found = subprocess.run([str(SYSTEM), "-c", ASK_TAG], check=False, stdout=subprocess.PIPE, text=True)  # noqa: S603
        return SYSTEM if found.stdout.strip() == sys.implementation.cache_tag else None

    @property
    def paths(self) -> str:
        """What the system's Python is to look for modules in."""
        return os.pathsep.join([str(CHECKOUT / "src"), *map(str, HOME.glob("lib/python*/site-packages"))])

    def versions(self, *names: str) -> dict[str, str]:
        """Return the versions of what is there of these distributions."""
        command = [str(self.python), "-c", ASK_VERSIONS, *names]
        return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))  # noqa: S603


def _pip(*what: str, check: bool = False) -> bool:
    """Install something, and return whether it is installed now."""
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    return subprocess.run(command, check=check, stdout=sys.stderr).returncode == 0  # noqa: S603
