"""A server that answers every request with the same bytes, for machines without nginx: `own_server.py PORT FILE`.

It does so little for a request that any client is slower.
"""

from __future__ import annotations

import selectors
import socket
import sys
from pathlib import Path

END = b"\r\n\r\n"


def serve(port: int, answer: bytes) -> None:
    """Answer requests, none of which has a body, until the process is ended."""
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    selector.register(listener, selectors.EVENT_READ)
    begun: dict[socket.socket, bytes] = {}  # what came of a request that has not yet come in full
    while True:
        for key, _ in selector.select():
            stream = key.fileobj
            assert isinstance(stream, socket.socket)
            if stream is listener:
                stream, _ = listener.accept()
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                begun[stream] = b""
                selector.register(stream, selectors.EVENT_READ)
                continue
            try:
                came = stream.recv(65536)
                whole, _, begun[stream] = (begun[stream] + came).rpartition(END)
                if whole:
                    stream.sendall(answer * (whole.count(END) + 1))
            except OSError:
                came = b""
            if not came:
                selector.unregister(stream)
                stream.close()
                del begun[stream]


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]).read_bytes())
