"""PostgreSQL and MariaDB on loopback, for as long as a test wants them, in folders that are gone afterwards."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pymysql
import pytest

POSTGRES = [
    "-c",
    "fsync=off",
    "-c",
    "full_page_writes=off",
    "-c",
    "shared_buffers=16MB",
    "-c",
    "deadlock_timeout=100ms",
]
MARIADB = [
    *("--no-defaults", "--skip-grant-tables", "--bind-address=127.0.0.1", "--performance-schema=off"),
    *("--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M"),
]
PATIENCE = 30.0
"""Seconds for which a server may take to start, or to end."""


class Server:
    """A database server, which can be killed and started again where it was."""

    def __init__(self, scheme, command, port, folder, connect, user):
        self.scheme = scheme
        self.port = port
        self.folder = folder
        self._command = command
        self._connect = connect
        self._user = user
        self._running = None

    def start(self):
        """Start it, and wait until it answers."""
        log = (Path(self.folder) / "log").open("ab")
        with log:
            self._running = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, **self._user
            )
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.connect().close()
            except (psycopg.OperationalError, pymysql.OperationalError):
                assert self._running.poll() is None and time.monotonic() < until, self.log()
                time.sleep(0.02)
            else:
                return

    def log(self):
        """Return what it has said."""
        return (Path(self.folder) / "log").read_text(errors="replace")

    def connect(self, database=None):
        """Open a connection of the driver's own."""
        return self._connect(self.port, database)

    def url(self, database):
        """Return the URL of a database."""
        user = {"postgresql": "postgres", "mariadb": "root"}[self.scheme]
        return f"{self.scheme}://{user}@127.0.0.1:{self.port}/{database}"

    def kill(self):
        """End it at once, as a crash would, with all its children."""
        assert self._running is not None
        self._running.send_signal(signal.SIGQUIT if self.scheme == "postgresql" else signal.SIGKILL)
        self._running.wait(PATIENCE)

    def stop(self):
        """End it, if it runs."""
        if self._running is not None and self._running.poll() is None:
            self.kill()


def _port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def _found(program, *places):
    """Return the path of a program, or skip; where all must be there, fail."""
    path = shutil.which(program, path=os.pathsep.join([os.environ["PATH"], *places]))
    if path is None:
        why = f"{program} is not on this machine"
        pytest.fail(why) if os.environ.get("SCRAPEENGINE_CI") else pytest.skip(why)
    return path


@contextlib.contextmanager
def _folder(user):
    # Not pytest's: that is root's alone, and a server of another user has to get there.
    folder = tempfile.mkdtemp(prefix="scrapeengine-")
    try:
        if user:
            shutil.chown(folder, user["user"], user["group"])
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _other_user(name):
    """Return how to start a process as another user, where we are root: PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def postgres():
    """Run a PostgreSQL."""
    places = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    initdb, program = _found("initdb", *places), _found("postgres", *places)
    user = _other_user("postgres")
    with _folder(user) as folder:
        options = ["-D", "data", "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run([initdb, *options], check=True, cwd=folder, capture_output=True, timeout=PATIENCE, **user)
        port = _port()
        command = [program, "-D", "data", "-h", "127.0.0.1", "-k", folder, "-p", str(port), *POSTGRES]
        if (Path(program).resolve().parent.parent / "lib/pg_stat_statements.so").exists():
            command += ["-c", "shared_preload_libraries=pg_stat_statements"]

        def connect(port, database):
            return psycopg.connect(
                host="127.0.0.1", port=port, user="postgres", dbname=database or "postgres", autocommit=True
            )

        with _running(Server("postgresql", command, port, folder, connect, user)) as server:
            yield server


@contextlib.contextmanager
def mariadb():
    """Run a MariaDB, without users and without its own tables: all that it needs is made at its start."""
    program = _found("mariadbd", "/usr/sbin", "/usr/libexec")
    with _folder({}) as folder:
        (Path(folder) / "data").mkdir()
        port = _port()
        own = [f"--datadir={folder}/data", f"--socket={folder}/socket", f"--port={port}", f"--pid-file={folder}/pid"]
        user = ["--user=root"] if os.geteuid() == 0 else []

        def connect(port, database):
            return pymysql.connect(
                host="127.0.0.1", port=port, user="root", database=database, autocommit=True, charset="utf8mb4"
            )

        # Made by a first one that ends by itself: what a new one has made is not whole on the disk until it has ended.
        options = [*MARIADB, *own, *user]
        subprocess.run(
            [program, *options, "--bootstrap"],
            check=True,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
        )
        with _running(Server("mariadb", [program, *options], port, folder, connect, {})) as server:
            yield server


@contextlib.contextmanager
def _running(server):
    try:
        server.start()
        yield server
    finally:
        server.stop()


class ServerDatabase:
    """A database of a server, or what stands for one: in PostgreSQL a schema, of which hundreds cost nothing."""

    def __init__(self, server, name):
        self.kind = server.scheme
        self.server = server
        self.name = name
        with contextlib.closing(server.connect()) as connection:
            if self.kind == "postgresql":
                connection.execute(f"CREATE SCHEMA {name}")
            else:
                connection.cursor().execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")

    @property
    def url(self):
        """Its URL."""
        if self.kind == "mariadb":
            return self.server.url(self.name)
        return f"{self.server.url('postgres')}?options=-csearch_path%3D{self.name},public"

    def table(self, name):
        """Return the URL of a table."""
        url, question, options = self.url.partition("?")
        return f"{url}/{name}{question}{options}"

    def connect(self):
        """Open a connection of the driver's own."""
        if self.kind == "mariadb":
            return self.server.connect(self.name)
        connection = self.server.connect()
        connection.execute(f"SET search_path = {self.name}, public")
        return connection

    def run(self, text, *parameters):
        """Run a statement beside; return its rows."""
        with contextlib.closing(self.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(text, parameters or None)
            return list(cursor.fetchall()) if cursor.description else []


class SqliteFile:
    """A database in a file."""

    kind = "sqlite"

    def __init__(self, path):
        self.path = path
        self.url = f"sqlite:///{path}"

    def table(self, name):
        """Return the URL of a table."""
        return f"{self.url}/{name}"

    def run(self, text, *parameters):
        """Run a statement beside; return its rows."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(text.replace("%s", "?"), parameters).fetchall()
