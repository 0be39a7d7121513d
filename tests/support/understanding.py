"""Requests as an HTTP library that is not ours understands them: h11, which reads chunked ones too."""

import attrs
import h11

from scrapeengine.testing import Request

__all__ = ["Understanding"]


@attrs.define(eq=False)
class Understanding:
    """What a talk says, by h11."""

    talk: object
    _connection: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.SERVER), init=False)

    async def request(self):
        """Read a request; None if the client has hung up. What cannot be understood raises h11's error."""
        request, body = None, b""
        while True:
            match self._connection.next_event():
                case h11.NEED_DATA:
                    data = await self.talk.receive()
                    if not data and request is not None:
                        return None  # in the middle of a body, which h11 takes for an error
                    self._connection.receive_data(data)
                case h11.Request(method=method, target=target, headers=headers):
                    pairs = {name.decode(): value.decode("latin-1") for name, value in headers}
                    request = Request(method.decode(), target.decode(), pairs)
                case h11.Data(data=part):
                    body += part
                case h11.EndOfMessage():
                    return attrs.evolve(request, body=body)
                case _:
                    return None

    async def answer(self, status=200, headers=(), body=b""):
        """Answer it; whether another one may follow."""
        head = h11.Response(status_code=status, headers=[*headers, ("Content-Length", str(len(body)))])
        parts = (head, h11.Data(data=body), h11.EndOfMessage())
        await self.talk.send(b"".join(self._connection.send(part) or b"" for part in parts))
        if self._connection.our_state is h11.MUST_CLOSE:
            return False
        self._connection.start_next_cycle()
        return True
