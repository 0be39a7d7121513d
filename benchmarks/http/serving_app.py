"""What granian serves: the same answers that nginx gives. Its files are in the folder that SERVED names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

BODIES = {size: (Path(os.environ["SERVED"]) / f"{size}.json").read_bytes() for size in ("small", "large")}
HEADERS = [("content-type", "application/json"), ("etag", '"1"')]


async def app(scope: Any, protocol: Any) -> None:
    """Answer a request; whatever has no body of its own is not there."""
    body = BODIES.get(scope.path.split("/")[1])
    if body is None:
        protocol.response_empty(404, [])
    else:
        protocol.response_bytes(200, HEADERS, body)
