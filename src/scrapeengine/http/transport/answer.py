"""One answer, as far as it has come. The parser fills it; all who read the answer share it."""

from __future__ import annotations

__all__ = ["AnswerSoFar", "Fields"]

Fields = list[tuple[bytes, bytes]]


class AnswerSoFar:
    """One answer, as far as it has come. There is a new one for each request.

    Size: 11 attributes, each of them looked at by the parser, by who reads the body, or by who is told of it.
    """

    __slots__ = (
        "coding",
        "continued",
        "decoded",
        "done",
        "extensions",
        "headers",
        "parts",
        "ready",
        "size",
        "status",
        "untouched",
    )

    def __init__(self) -> None:
        self.untouched = True
        """Whether not one byte has come."""
        self.continued = False
        """Whether the server has said `100 Continue`."""
        self.ready = False
        """Whether the head is there."""
        self.status = 0
        """0 as long as no head has come whole. One that is too large gives its status all the same."""
        self.headers: Fields = []
        """As they came, in bytes."""
        self.coding: bytes | None = None
        """The `Content-Encoding`."""
        self.extensions: dict[str, bytes] = {}
        """The version and the reason, by the names that `httpx.Response.extensions` has for them."""
        self.parts: list[bytes] = []
        """The parts of the body that have come and were not taken yet, still coded."""
        self.size = 0
        """The bytes of the body that have come, still coded; what frames them is not counted."""
        self.decoded = 0
        """The bytes of the body once decoded, as far as it was read part by part."""
        self.done = False
        """Whether the whole body has come."""

    def __repr__(self) -> str:
        """Count its bytes; headers may be secrets."""
        state = "done" if self.done else "body to come" if self.ready else "head to come"
        return f"<AnswerSoFar {self.status}, {self.size} bytes, {state}>"

    def take(self) -> list[bytes]:
        """Return what has come of the body since the last call."""
        parts, self.parts = self.parts, []
        return parts
