"""The page that Prometheus asks for metrics: a small HTTP server on trio, for one path.

It speaks as much HTTP/1.1 (RFC 9112) as a scrape needs: a GET or HEAD without a body, one for each connection. The text
is written in a thread: for many platforms that takes milliseconds, which the loop is not to stand still for.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus

import trio
from prometheus_client.exposition import choose_encoder

from scrapeengine.model.checks import port as check_port
from scrapeengine.model.store import Store
from scrapeengine.model.urls import told
from scrapeengine.observe.live.access import LOOPBACK, host_name, is_loopback, names_of
from scrapeengine.observe.log import logger
from scrapeengine.observe.prometheus import Prometheus

__all__ = ["serve_metrics"]

_LARGEST_HEAD = 16 * 1024
_PATIENCE = 10.0
"""Seconds for a request to come, and for its answer to be taken."""
_EVERY = 0.25
"""Seconds between two looks at how late the loop is."""


async def serve_metrics(
    port: int,
    metrics: Prometheus,
    *,
    host: str | None = "127.0.0.1",
    hosts: Collection[str] = (),
    store: Store | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the metrics of a program at `http://127.0.0.1:PORT/metrics`, until it is cancelled.

    Whoever can connect may read them: names of platforms, of errors, and what the program does. So it listens on
    loopback, unless it is told otherwise. While it serves, it measures by how much the loop is late.

    Args:
        port: the port; 0: any that is free, which `nursery.start` returns.
        metrics: what to serve, with all else that is in its registry.
        host: the address to listen at; "0.0.0.0": at all of IPv4; None: at all.
        hosts: the names by which it may be asked, beside those of loopback. On loopback a page in a browser of this
            machine can lead a name of its own here (DNS rebinding), so others are refused; elsewhere only if there are
            some here.
        store: a store whose jobs are counted, anew at each request; None: none is.
        task_status: told the port once it listens, by `await nursery.start(serve_metrics, 9100, metrics)`.

    Raises:
        TypeError: `metrics` is none, `port` no whole number, `host` no text, or `hosts` no names.
        ValueError: there is no such port.
        OSError: it cannot listen there.

    Checkpoint. If cancelled, connections are closed, and nothing listens any more.
    """
    check_port(port, "serve_metrics(port, …)")
    names = names_of(hosts, "serve_metrics(hosts=…)")
    if not isinstance(metrics, Prometheus):
        raise TypeError(f"serve_metrics takes a Prometheus, got {told(metrics)}; write serve_metrics(9100, metrics)")
    if not (host is None or isinstance(host, str)):
        raise TypeError(f"serve_metrics(host=…) is an address, got {told(host)}; leave it out for loopback")
    own = LOOPBACK | names_of(() if host is None else [host], "serve_metrics(host=…)")
    listeners = await trio.open_tcp_listeners(port, host=host)
    # However the address was spelled: what counts is who can connect.
    asks = names or all(is_loopback(listener.socket.getsockname()[0]) for listener in listeners)
    endpoint = _Endpoint(metrics, store, own | names if asks else None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_measure_lag, metrics)
        task_status.started(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(endpoint.answer, listeners)


async def _measure_lag(metrics: Prometheus) -> None:
    while True:
        due = trio.current_time() + _EVERY
        await trio.sleep_until(due)
        metrics.lag.add(max(0.0, trio.current_time() - due))


class _Endpoint:
    """Answers requests for metrics."""

    def __init__(self, metrics: Prometheus, store: Store | None, hosts: frozenset[str] | None) -> None:
        self._metrics = metrics
        self._hosts = hosts
        """The names by which it may be asked; None: any."""
        self._store = store
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def answer(self, stream: trio.SocketStream) -> None:
        """Answer one request. A connection that breaks is nobody's trouble."""
        with trio.move_on_after(_PATIENCE):
            try:
                await stream.send_all(await self._response(await _head(stream)))
                await stream.send_eof()
            except trio.BrokenResourceError:
                pass
        await stream.aclose()

    async def _response(self, head: list[str]) -> bytes:
        method, _, rest = head[0].partition(" ")
        if method not in {"GET", "HEAD"}:
            return _written(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD\n", more="Allow: GET, HEAD\r\n")
        if rest.partition(" ")[0].partition("?")[0] != "/metrics":
            return _written(HTTPStatus.NOT_FOUND, b"the metrics are at /metrics\n")
        fields = [(name.lower(), value) for name, _, value in (line.partition(":") for line in head[1:])]
        # Who says no name, or several, is no browser: it could read this without.
        called = [host_name(value) for name, value in fields if name == "host"]
        if self._hosts is not None and not self._hosts.issuperset(called):
            return _written(HTTPStatus.FORBIDDEN, b"this name is not served here; say serve_metrics(hosts=[it])\n")
        accepts = (value for name, value in fields if name == "accept")
        try:
            encode, kind = choose_encoder(",".join(accepts))
        except Exception:  # noqa: BLE001 - it asks for a version that is none
            encode, kind = choose_encoder("")
        if self._store is not None:
            try:
                self._metrics.stored(await self._store.stats())
            except Exception as error:  # noqa: BLE001 - a store that fails is no reason to say nothing of the runs
                logger().warning("the jobs of the store could not be counted for its metrics", exc_info=error)
                self._metrics.stored({})
        try:
            body = await trio.to_thread.run_sync(encode, self._metrics.registry, limiter=self._one_at_a_time)
        except Exception as error:  # noqa: BLE001 - of a collector that is the program's own: no business of the run
            logger().error("the metrics could not be written", exc_info=error)
            return _written(HTTPStatus.INTERNAL_SERVER_ERROR, b"they could not be written; the log says why\n")
        return _written(HTTPStatus.OK, body, kind, head_only=method == "HEAD")


async def _head(stream: trio.SocketStream) -> list[str]:
    came = b""
    while b"\r\n\r\n" not in came and len(came) <= _LARGEST_HEAD:
        part = await stream.receive_some()
        if not part:
            break
        came += part
    return came.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


def _written(
    status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8", *, more: str = "", head_only: bool = False
) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"{more}X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (b"" if head_only else body)
