"""The server that all are measured against, on a core of its own: nginx, or else a small one of ours."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from measuring import pinned

__all__ = ["BODY", "Server", "server"]

BODY = json.dumps(
    {"events": [{"id": number, "home": "Arsenal", "away": "Chelsea", "odds": [1.95, 3.4, 3.9]} for number in range(16)]}
).ljust(1300)
"""The body of each response: JSON of 1,300 bytes."""
PATIENCE = 10.0
"""The seconds that a server may take to start."""

NGINX = """
daemon off; worker_processes 1; pid {home}/pid; error_log {home}/errors;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000; keepalive_timeout 1h;
    client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c;
    uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
    server {{ listen 127.0.0.1:{port} backlog=1024; default_type application/json;
        location / {{ return 200 '{body}'; }} }}
}}
"""


class Server(NamedTuple):
    """A server that runs."""

    url: str
    title: str
    """What it is."""


@contextmanager
def server(core: int | None) -> Iterator[Server]:
    """Run a server on a core (None: on any) while the block runs."""
    with TemporaryDirectory(prefix="http-peers-") as home:
        process, running = _start(Path(home), core)
        try:
            yield running
        finally:
            process.terminate()
            process.wait()


def _start(home: Path, core: int | None) -> tuple[subprocess.Popen[bytes], Server]:
    """Start nginx, or else our own server."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    why = "nginx is not installed"
    if nginx := shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])):
        conf, errors = home / "conf", home / "errors"
        conf.write_text(NGINX.format(home=home, port=port, body=BODY))
        process = _launch([nginx, "-p", str(home), "-e", str(errors), "-c", str(conf)], core)
        if _answers(process, port):
            version = subprocess.run([nginx, "-v"], check=True, stderr=subprocess.PIPE, text=True).stderr  # noqa: S603
            return process, Server(url, version.partition(": ")[2].strip())
        why = f"nginx did not start: {errors.read_text().strip() if errors.exists() else 'it does not say why'}"
    answer = home / "answer"
    head = f"HTTP/1.1 200 OK\r\nServer: own\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    answer.write_bytes((head + BODY).encode())
    own = Path(__file__).with_name("own_server.py")
    process = _launch([sys.executable, str(own), str(port), str(answer)], core)
    if not _answers(process, port):
        raise RuntimeError(f"{why}; our own server did not start either")
    return process, Server(url, f"a small server of our own ({why})")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _launch(command: list[str], core: int | None) -> subprocess.Popen[bytes]:
    """Start a server on its core, with its workers."""
    with pinned(core):
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - a server


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until a server answers as it should; if it does not, end it."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as stream:
                stream.sendall(b"GET /1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                came = b""
                while not came.endswith(BODY.encode()) and (more := stream.recv(65536)):
                    came += more
        except OSError:
            time.sleep(0.02)  # it does not listen yet
            continue
        if came.startswith(b"HTTP/1.1 200 ") and came.endswith(BODY.encode()):
            return True
        break
    process.kill()
    process.wait()
    return False
