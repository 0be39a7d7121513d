"""A client of a live page that sends what it is told, byte by byte: nothing of it may be tidied up on the way."""

import json
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import trio

__all__ = ["Answered", "Frames", "Looker", "following"]


class Answered:
    """One answer, whole."""

    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(line.split()[1])
        self.headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}

    def json(self):
        """Return what is in it."""
        return json.loads(self.body)


class Looker:
    """Asks one live page."""

    def __init__(self, page):
        parts = urlsplit(page.url)
        self.port, self.token, self.host = parts.port, parts.fragment, f"127.0.0.1:{parts.port}"

    async def connect(self):
        """Connect to it."""
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    def request(self, method, path, *, headers=(), body=b"", host=None, token=None):
        """Return the bytes of a request, by default one that may do all."""
        lines = [f"{method} {path} HTTP/1.1"]
        lines += [f"Host: {self.host if host is None else host}"] if host != "" else []
        lines += [f"Authorization: Bearer {self.token if token is None else token}"] if token != "" else []
        lines += [f"Content-Length: {len(body)}"] if body else []
        return "\r\n".join([*lines, *headers, "", ""]).encode() + body

    async def ask(self, method, path, **values):
        """Return the answer to a request."""
        async with await self.connect() as stream:
            await stream.send_all(self.request(method, path, **values))
            return Answered(b"".join([chunk async for chunk in stream]))

    async def do(self, name, *, headers=("Content-Type: application/json",), **fields):
        """Return the answer to a command."""
        fields |= {"do": name}
        values = {each: fields.pop(each) for each in ("host", "token") if each in fields}
        return await self.ask("POST", "/do", headers=headers, body=json.dumps(fields).encode(), **values)


@asynccontextmanager
async def following(looker):
    """Follow the frames of a page: a function that returns the next one, as its script has it."""
    async with await looker.connect() as stream:
        await stream.send_all(looker.request("GET", "/events"))
        frames = Frames(stream)

        async def next_frame():
            with trio.fail_after(20):
                return json.loads(await frames.next())

        yield next_frame


class Frames:
    """The data of server-sent events, out of chunks."""

    def __init__(self, stream):
        self.stream = stream
        self.data = b""
        self.text = b""
        self.begun = False

    async def next(self):
        """Return the next one."""
        while b"\n\n" not in self.text:
            await self.read()
        event, _, self.text = self.text.partition(b"\n\n")
        return event.removeprefix(b"data: ")

    async def read(self):
        """Read on, and take the chunks out that are whole."""
        chunk = await self.stream.receive_some()
        assert chunk, "the page has closed the connection"
        self.data += chunk
        if not self.begun and b"\r\n\r\n" in self.data:
            head, _, self.data = self.data.partition(b"\r\n\r\n")
            assert b" 200 " in head.split(b"\r\n")[0], head
            self.begun = True
        while self.begun and b"\r\n" in self.data:
            size, _, rest = self.data.partition(b"\r\n")
            length = int(size, 16)
            if len(rest) < length + 2:
                break
            self.text, self.data = self.text + rest[:length], rest[length + 2 :]
