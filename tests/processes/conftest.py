"""Processes to be killed, and what they have left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import apsw
import attrs
import pytest
import trio

import scrapeengine as se

PATIENCE = 60.0
"""Seconds that anything here may take at most."""


def stands_still(pid):
    """Say whether all threads of a process have stopped: one that is in a system call comes out of that first."""
    states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


@attrs.define(eq=False)
class Workers:
    """Processes on one store."""

    folder: Path
    parent: subprocess.Popen
    pids: set = attrs.field(factory=set)

    @property
    def url(self):
        """The store's."""
        return f"sqlite:{self.folder}/jobs.db"

    @property
    def log(self):
        """Where they write what has happened."""
        return self.folder / "log"

    def start(self, name, *arguments):
        """Start one; return its id."""
        line = " ".join(map(str, [name, self.url, self.log, *arguments]))
        self.parent.stdin.write(line + "\n")
        self.parent.stdin.flush()
        pid = int(self.parent.stdout.readline())
        self.pids.add(pid)
        return pid

    def kill(self, pid):
        """End one at once, wherever it is."""
        self.pids.discard(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def pause(self, pid):
        """Stop one between two of its transactions: who is stopped in one keeps the file locked for all."""
        until = time.monotonic() + PATIENCE
        while True:
            os.kill(pid, signal.SIGSTOP)
            self.wait_until(lambda: stands_still(pid))
            with contextlib.closing(apsw.Connection(f"{self.folder}/jobs.db")) as db:
                db.set_busy_timeout(200)
                try:
                    db.execute("BEGIN IMMEDIATE; ROLLBACK")
                except apsw.BusyError:
                    assert time.monotonic() < until
                else:
                    return
            os.kill(pid, signal.SIGCONT)

    def logged(self, what):
        """List what was logged of a kind; a line that was cut short was never written in full."""
        if not self.log.exists():
            return []
        lines = [json.loads(line) for line in self.log.read_text().split("\n") if line.endswith("]")]
        return [line[1:] for line in lines if line[0] == what]

    def accepted(self):
        """Count how often each job's result was accepted."""
        return Counter(id for id, _ in self.logged("accepted"))

    def delivered(self):
        """Count how often a consumer has had each job's outcome."""
        return Counter(id for (id,) in self.logged("delivered"))

    def acknowledged(self):
        """List the jobs whose enqueueing was acknowledged."""
        return [id for ids in self.logged("acknowledged") for id in ids]

    def wait_until(self, condition):
        """Wait until something holds."""
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.01)

    def ask(self, question):
        """Put a question to the store: an async function that takes it."""

        async def main():
            async with se.open_store(self.url) as store:
                return await question(store)

        return trio.run(main)


@pytest.fixture
def workers(tmp_path):
    """Give workers on a store of their own; none is left."""
    parent = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("worker.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )
    workers = Workers(tmp_path, parent)
    try:
        yield workers
    finally:
        for pid in list(workers.pids):
            workers.kill(pid)
        parent.stdin.close()
        parent.wait(10)
        parent.stdout.close()
