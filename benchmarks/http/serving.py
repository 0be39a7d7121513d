"""The server that all are measured against, on a core of its own: nginx, or else granian, which PyPI has."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import trustme

from benchmarks.http.cases import SIZES, Place
from benchmarks.machine import pinned
from benchmarks.peers import CHECKOUT, Peers

__all__ = ["Server", "server"]

HOST = "127.0.0.1"
"""An address, so that nobody has to look it up."""
PATIENCE = 15.0
"""The seconds that a server may take to start."""
ROBOTS = "User-agent: *\\nDisallow: /private/\\n"

NGINX = """
daemon off; worker_processes 1; pid {home}/pid; error_log {home}/errors;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; open_file_cache max=10;
    keepalive_requests 1000000000; keepalive_timeout 1h;
    client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c;
    uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
    server {{
        listen {host}:{plain} backlog=2048; listen {host}:{tls} ssl backlog=2048;
        ssl_certificate {home}/chain; ssl_certificate_key {home}/key;
        default_type application/json; etag off; add_header ETag '"1"';
        location /small/ {{ return 200 '{small}'; }}
        location /large/ {{ root {home}; rewrite ^ /large.json break; }}
        location = /robots.txt {{ return 200 '{robots}'; }}
    }}
}}
"""


class Server(NamedTuple):
    """A server that runs."""

    title: str
    """What it is."""
    plain: int
    """Its port for what is in the clear."""
    tls: int
    authorities: Path
    """A file with the certificate of who vouches for it."""

    def url(self, place: Place) -> str:
        """Return what all URLs of a place begin with."""
        return f"https://{HOST}:{self.tls}/{place.size}" if place.tls else f"http://{HOST}:{self.plain}/{place.size}"


def make_body(length: int) -> str:
    """Make JSON of so many bytes."""
    rows = [{"id": n, "home": "Arsenal", "away": "Chelsea", "odds": [1.95, 3.4, 3.9]} for n in range(length // 82)]
    return json.dumps({"events": rows}).ljust(length)


@contextmanager
def server(core: int | None, peers: Peers) -> Iterator[Server]:
    """Run a server on a core (None: on any) while the block runs."""
    with TemporaryDirectory(prefix="http-peers-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # the worker of an nginx that root has started is somebody else
        authority = trustme.CA()
        authority.cert_pem.write_to_path(home / "authorities")
        own = authority.issue_cert(HOST)
        own.private_key_pem.write_to_path(home / "key")
        for pem in own.cert_chain_pems:
            pem.write_to_path(home / "chain", append=True)
        for size, length in SIZES.items():
            body = home / f"{size}.json"
            body.write_text(make_body(length))
            body.chmod(0o644)
        processes, running = start(home, core, peers)
        try:
            yield running
        finally:
            end(processes)


def start(home: Path, core: int | None, peers: Peers) -> tuple[list[subprocess.Popen[bytes]], Server]:
    """Start nginx, or else granian."""
    plain, tls = free_ports(2)
    why = "nginx is not installed"
    if nginx := shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])):
        running = Server(name_of([nginx, "-v"]), plain, tls, home / "authorities")
        conf, errors = home / "conf", home / "errors"
        small = (home / "small.json").read_text()
        conf.write_text(NGINX.format(home=home, host=HOST, plain=plain, tls=tls, small=small, robots=ROBOTS))
        processes = [launch([nginx, "-p", str(home), "-c", str(conf)], core)]
        if answers(processes, running):
            return processes, running
        why = f"nginx did not start: {errors.read_text().strip() if errors.exists() else 'it does not say why'}"
    granian = peers.python.with_name("granian")
    if not granian.exists():
        raise RuntimeError(f"{why}, and granian could not be installed: there is no server to measure against")
    plain, tls = free_ports(2)
    options = ["--loop", "asyncio", "--no-ws", "--backlog", "2048", "--backpressure", "2048", "--log-level", "error"]
    command = [str(granian), *options, "benchmarks.http.serving_app:app"]
    certified = ["--ssl-certificate", str(home / "chain"), "--ssl-keyfile", str(home / "key")]
    running = Server(f"{name_of([str(granian), '--version'])} ({why})", plain, tls, home / "authorities")
    processes = [
        launch([*command, "--port", str(port), *others], core, SERVED=str(home))
        for port, others in ((plain, []), (tls, certified))
    ]
    if not answers(processes, running):
        raise RuntimeError(f"{why}; granian did not start either")
    return processes, running


def free_ports(count: int) -> list[int]:
    """Find ports on which nobody listens."""
    listeners = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def name_of(command: list[str]) -> str:
    """Ask a program what it is."""
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
    return said.stdout.strip().removeprefix("nginx version: ")


def launch(command: list[str], core: int | None, **environment: str) -> subprocess.Popen[bytes]:
    """Start a server on its core, with its workers."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with pinned(core):
        return subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, **environment}, **quiet)  # noqa: S603 - a server


def answers(processes: list[subprocess.Popen[bytes]], running: Server) -> bool:
    """Wait until a server answers everything as it should; if it does not, end it."""
    until = time.monotonic() + PATIENCE
    fine = False
    while not fine and time.monotonic() < until and all(process.poll() is None for process in processes):
        try:
            fine = all(ask(running, size, tls=tls) == length for tls in (False, True) for size, length in SIZES.items())
        except OSError:
            time.sleep(0.02)  # it does not listen yet
            continue
        break
    if not fine:
        end(processes)
    return fine


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    """End servers, with their workers: these stay where their master is killed."""
    for process in processes:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(running: Server, size: str, *, tls: bool) -> int:
    """Ask a server for a body, and return how long it is."""
    with socket.create_connection((HOST, running.tls if tls else running.plain), timeout=PATIENCE) as stream:
        context = ssl.create_default_context(cafile=str(running.authorities))
        over = context.wrap_socket(stream, server_hostname=HOST) if tls else stream
        over.sendall(f"GET /{size}/1 HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        came = b""
        while more := over.recv(65536):
            came += more
    head, _, body = came.partition(b"\r\n\r\n")
    return len(body) if head.startswith(b"HTTP/1.1 200 ") else -1
