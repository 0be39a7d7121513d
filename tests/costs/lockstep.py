"""A site on loopback that answers in step with its client's loop, so that each run is the same to the last step.

It is an instrument of that loop: whenever the loop is about to wait, all that was asked since is answered. The sockets
are real; on loopback, what one end has sent the other can read at once.
"""

import socket
import sys
from contextlib import suppress

import trio

__all__ = ["Lockstep"]

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_BACKLOG = 1024


class Lockstep(trio.abc.Instrument):
    """The site, within its `with`. Its own calls are not counted."""

    def __init__(self, at_once=1):
        """Open it; it answers only when so many wait for their answers."""
        self.connections = 0
        """How many were opened."""
        self.requests = 0
        """How many were made."""
        self.blocks = 0
        """How many blocks of memory there were when so many waited."""
        self._at_once = at_once
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._open = []
        self._waiting = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        """Return itself."""
        return self

    def __exit__(self, *_):
        """Close it."""
        for each in (self._listener, *self._open):
            each.close()

    def before_io_wait(self, _):
        """Answer all that was asked."""
        counts = sys.getprofile()
        sys.setprofile(None)
        self._accept()
        for connection in self._open:
            self._read(connection)
        if len(self._waiting) >= self._at_once:
            self.blocks = sys.getallocatedblocks()
            while self._waiting:
                self._waiting.pop().sendall(_OK)
        sys.setprofile(counts)

    def _accept(self):
        with suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                self._open.append(connection)
                self.connections += 1

    def _read(self, connection):
        """Read a request, if there is one: it has no body, and comes whole."""
        with suppress(BlockingIOError):
            if connection.recv(65536):
                self.requests += 1
                self._waiting.append(connection)
