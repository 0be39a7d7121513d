"""What holds after each test against a hostile site."""

import gc
import socket

import pytest

from support.runs import open_files


@pytest.fixture(autouse=True)
def nothing_stays_open():
    """No test leaves a file descriptor, and none waits for the garbage collector to close one."""
    before = open_files()
    gc.disable()
    try:
        yield
        after = open_files()
    finally:
        gc.enable()
    assert len(after) <= len(before), {name: what for name, what in after.items() if name not in before}


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """Return a dict of the names that there are beside `localhost`, and their addresses: no test asks for any other.

    A value may be a function that returns addresses, or takes its time.
    """
    known = {}
    ask = socket.getaddrinfo

    def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
        if host not in known and (flags & socket.AI_NUMERICHOST or str(host).lower().rstrip(".") == "localhost"):
            return ask(host, port, family, type, proto, flags)
        found = known.get(host)
        addresses = found() if callable(found) else found
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port or 0, 0, 0) if ":" in address else (address, port or 0),
            )
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known
