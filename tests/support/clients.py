"""What an httpx client is given: bodies to send, answers' bodies to read, transports that outlive it."""

import attrs
import httpx
import trio

__all__ = ["Body", "Kept", "parts_of"]


class parts_of:  # noqa: N801 - used like a function
    """A body that comes in parts. No generator: httpx would leave one that is not read to its end to the collector."""

    def __init__(self, *parts):
        self.left = list(parts)

    def __aiter__(self):  # noqa: D105
        return self

    async def __anext__(self):  # noqa: D105
        await trio.lowlevel.checkpoint()
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop(0)


@attrs.define(eq=False)
class Body(httpx.AsyncByteStream):
    """The body of an answer: bytes, seconds to wait, errors to raise, in their order; it takes note of its end."""

    steps: list
    closed: int = 0

    async def __aiter__(self):
        """Bring them."""
        for step in self.steps:
            match step:
                case bytes():
                    yield step
                case BaseException():
                    raise step
                case seconds:
                    await trio.sleep(seconds)

    async def aclose(self):
        """Take note of it."""
        self.closed += 1


class Kept(httpx.AsyncBaseTransport):
    """Leaves a transport open when its client is closed, so that one can look at it."""

    def __init__(self, transport):
        self.ours = transport
        self.handle_async_request = transport.handle_async_request
