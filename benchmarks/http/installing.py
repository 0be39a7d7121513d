"""The peers, in a virtual environment of their own, `.venv-peers` in the checkout: they are no dependencies of ours."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["install"]

CHECKOUT = Path(__file__).resolve().parents[2]
HOME = CHECKOUT / ".venv-peers"
PYTHON = HOME / "bin" / "python"
MADE_FOR = HOME / ".current"
OURS = ("--editable", str(CHECKOUT))
PEERS = ("aiohttp", "uvloop", "httpx", "scrapy", "crawlee")
SHOWN = ("scrapeengine", "trio", "httptools", *PEERS, "twisted", "impit")
"""The distributions whose versions say what was measured."""

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


def install() -> tuple[Path, dict[str, str]]:
    """Make the environment, if there is none for this Python and this pyproject.toml with all peers in it.

    Returns:
        Its Python, and the versions of what is in it. A peer that could not be installed is not there.

    Raises:
        subprocess.CalledProcessError: not even the engine could be installed.
    """
    key = f"{sys.version} {PEERS} {hashlib.sha256((CHECKOUT / 'pyproject.toml').read_bytes()).hexdigest()}"
    if not MADE_FOR.exists() or MADE_FOR.read_text() != key:
        print(f"installing the peers into {HOME}", file=sys.stderr, flush=True)
        venv.create(HOME, clear=True, with_pip=True)
        _pip(*OURS, check=True)
        installed = [_pip(peer) for peer in PEERS]  # one by one: each that can be had is worth having
        if all(installed):
            MADE_FOR.write_text(key)
    command = [str(PYTHON), "-c", ASK_VERSIONS, *SHOWN]
    return PYTHON, json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603


def _pip(*what: str, check: bool = False) -> bool:
    """Install something, and return whether it is installed now."""
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    return subprocess.run(command, check=check, stdout=sys.stderr).returncode == 0  # noqa: S603
