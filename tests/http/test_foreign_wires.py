"""Requests that somebody else's transport carries: what we promise holds there too."""

import errno
import gc
import gzip
import warnings
from pathlib import Path

import attrs
import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.http.transport.failures import BodyOverCap, CutShort, HeadTooLarge
from scrapeengine.testing import Answer, Site
from support.clients import Body
from support.world import virtually

ONCE = se.Retry(attempts=1)


async def get(task):
    """Make one request."""
    return (await task.http.get("/a")).content


@attrs.define(eq=False)
class Carrier(httpx.AsyncBaseTransport):
    """A transport that answers by a function of the request, and takes note of what it is asked."""

    answer: object
    asked: list = attrs.field(factory=list)
    times: list = attrs.field(factory=list)
    closed: bool = False

    async def handle_async_request(self, request):
        """Answer, or raise."""
        self.asked.append(request)
        self.times.append(trio.current_time())
        answer = self.answer(request) if callable(self.answer) else self.answer
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, int | float) and not 200 <= answer < 600:
            await trio.sleep(answer)
            return httpx.Response(200)
        return httpx.Response(answer) if isinstance(answer, int) else answer

    async def aclose(self):
        """Take note of it."""
        self.closed = True


async def carried(carrier, scrape=get, **policy):
    """Run a scraper in virtual time on a transport; return how it ended."""
    given = {"base_url": "http://a.test", "retry": ONCE} | policy
    async with se.Engine([se.Platform("A", scrape, transport=carrier, **given)]).stream([se.Event("e")]) as run:
        [outcome] = [outcome async for outcome in run]
    return outcome


def open_files():
    """Count what this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


# -- httpx's own transport


async def test_httpx_s_own_transport():
    """It carries requests, bodies, redirects and retries to a real site and back; what it keeps is its own."""
    tries = []

    async def answer(request):
        match request.path:
            case "/moved":
                return Answer(302, b"x" * 100_000, {"Location": "/landed"})
            case "/busy":
                tries.append(1)
                return Answer(503 if len(tries) == 1 else 200, b"in the end")
            case "/zip":
                return Answer(200, gzip.compress(b"packed" * 1000), {"Content-Encoding": "gzip"})
        return Answer(201, request.body, {"X-A": request.headers.get("x-a", "")})

    async def scrape(task):
        posted = await task.http.post("/echo", json=[1], headers={"X-A": "1"})
        head = await task.http.head("/zip")
        return [
            (posted.status_code, posted.content, posted.headers["x-a"], posted.http_version, posted.reason_phrase),
            str((await task.http.get("/moved")).url),
            (await task.http.get("/busy")).content,
            (await task.http.get("/zip")).content,
            (head.content, head.headers["content-encoding"]),
        ]

    files = open_files()
    async with httpx.AsyncHTTPTransport(verify=False) as transport:
        async with Site.open(answer) as site:
            retry = se.Retry(attempts=2, max_wait=0)
            platform = se.Platform("A", scrape, base_url=site.url, transport=transport, retry=retry)
            for _ in range(2):
                async with se.Engine([platform]).stream([se.Event("e")]) as run:
                    [outcome] = [outcome async for outcome in run]
                assert isinstance(outcome, se.Success), outcome.error
    with trio.fail_after(5):
        while open_files() > files:
            await trio.sleep(0.01)
    value = outcome.value
    url = site.url
    assert value == [
        (201, b"[1]", "1", "HTTP/1.1", "Created"),
        f"{url}/landed",
        b"in the end",
        b"packed" * 1000,
        (b"", "gzip"),
    ]


async def test_httpx_s_own_transport_is_cancelled_as_ours_is():
    """A deadline ends the request and its connection, and the transport goes on to serve."""

    async def answer(request):
        if request.path == "/never":
            await trio.sleep_forever()
        return Answer(200, b"served")

    async def scrape(task):
        with pytest.raises(se.AttemptTimeout):
            await task.http.get("/never")
        return (await task.http.get("/a")).content

    async with httpx.AsyncHTTPTransport(verify=False) as transport, Site.open(answer) as site:
        policy = {"retry": ONCE, "timeout": se.Timeout(attempt=0.5), "transport": transport}
        async with se.Engine([se.Platform("A", scrape, base_url=site.url, **policy)]).stream([se.Event("e")]) as run:
            [outcome] = [outcome async for outcome in run]
    assert isinstance(outcome, se.Success), outcome.error
    assert outcome.value == b"served"


async def test_a_mock_transport(autojump_clock):
    """A test of a scraper needs no network; its handler may be async or not, and sees the request as it goes out."""
    seen = []

    async def handler(request):
        await trio.sleep(1)
        seen.append((request.method, str(request.url), request.headers["x-key"], request.content))
        return httpx.Response(200, json={"a": 1})

    async def scrape(task):
        return (await task.http.post("/x", json=[1])).json()

    outcome = await carried(httpx.MockTransport(handler), scrape, headers={"X-Key": "k"})
    assert outcome.value == {"a": 1}
    assert outcome.ran == 1
    assert seen == [("POST", "http://a.test/x", "k", b"[1]")]
    assert (await carried(httpx.MockTransport(lambda _: httpx.Response(204)))).value == b""


# -- transports that fail


FAULTS = [
    (httpx.ConnectError("no route"), se.ConnectFailed),
    (httpx.ConnectTimeout("slow"), se.TransportError),
    (httpx.ReadTimeout("slow"), se.TransportError),
    (httpx.PoolTimeout("full"), se.TransportError),
    (httpx.ReadError("lost"), se.ConnectionBroken),
    (httpx.WriteError("lost"), se.ConnectionBroken),
    (httpx.RemoteProtocolError("Server disconnected without sending a response."), se.ConnectionBroken),
    (httpx.RemoteProtocolError("illegal status line"), se.ProtocolError),
    (httpx.LocalProtocolError("bad header"), se.InvalidRequest),
    (httpx.UnsupportedProtocol("gopher"), se.InvalidRequest),
    (httpx.ProxyError("407"), se.TransportError),
    (httpx.DecodingError("bad"), se.ProtocolError),
    (httpx.InvalidURL("bad"), se.TransportError),
    (httpx.StreamConsumed(), se.TransportError),
    (BodyOverCap("large"), se.BodyTooLarge),
    (HeadTooLarge("large"), se.HeadersTooLarge),
    (CutShort("cut"), se.TruncatedBody),
    (OSError("no space"), se.TransportError),
    (trio.BrokenResourceError("gone"), se.TransportError),
    (trio.TooSlowError("slow"), se.TransportError),
    (KeyError("t0ps3cret"), se.TransportError),
    (AssertionError("t0ps3cret"), se.TransportError),
    (StopAsyncIteration(), se.TransportError),
    (RuntimeError("t0ps3cret"), se.TransportError),
    (ExceptionGroup("two", [ValueError("t0ps3cret")]), se.TransportError),
]


@pytest.mark.parametrize(
    ("fault", "kind"), FAULTS, ids=lambda it: type(it).__name__ if isinstance(it, Exception) else ""
)
async def test_whatever_a_transport_raises_leaves_in_our_words(autojump_clock, fault, kind):
    """It says where it was, and is made again where that may help; what is unknown is named by its type alone."""
    carrier = Carrier(fault)
    outcome = await carried(carrier, retry=se.Retry(attempts=2, max_wait=0))
    error = outcome.error
    assert isinstance(error, kind)
    assert (error.platform, error.method, error.url, error.phase) == ("A", "GET", "http://a.test/a", "head")
    assert "t0ps3cret" not in str(error)
    tried_again = isinstance(error, se.TransportError)
    assert len(carrier.asked) == (2 if tried_again else 1)


def kinds(base):
    """Return all classes that are derived from one."""
    return [base, *(each for kind in base.__subclasses__() for each in kinds(kind))]


@pytest.mark.parametrize("kind", sorted(set(kinds(httpx.TransportError)), key=lambda kind: kind.__name__))
async def test_what_says_nothing_is_put_into_words(autojump_clock, kind):
    """An error of httpx's without a text is not called by the name of its class; some have more to say than others."""
    if kind is httpx.TransportError:
        return
    said = (await carried(Carrier(kind("")), retry=ONCE)).error.args[0]
    assert " " in said
    names = {each.__name__ for each in kinds(httpx.TransportError)}
    assert not names & set(said.replace(";", " ").split())


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the wire failed: no space left on device"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "the wire failed: connection reset"),
        (BrokenPipeError(), "the wire failed: broken pipe"),
        (OSError("t0ps3cret"), "the wire failed: the system does not say why"),
        (httpx.PoolTimeout(""), "the transport had no free connection in its own time"),
        (httpx.ConnectTimeout(""), "the transport's own time to connect has passed"),
        (httpx.ProxyError("t0ps3cret"), "the proxy failed, or refused the request"),
    ],
)
async def test_what_another_s_transport_means(autojump_clock, fault, words):
    """Its own timeouts and what the system says are told apart."""
    assert (await carried(Carrier(fault), retry=ONCE)).error.args[0].startswith(words)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [each for each in FAULTS if not isinstance(each[0], StopAsyncIteration)],
    ids=lambda it: type(it).__name__ if isinstance(it, Exception) else "",
)
@pytest.mark.parametrize("after", [[], [b"a part"]])
async def test_whatever_a_body_raises_leaves_in_our_words(autojump_clock, fault, kind, after):
    """At its first part or in its middle; it is closed then, and the next attempt may succeed."""
    bodies = []

    def answer(_):
        bodies.append(Body([*after, fault] if not bodies else [b"whole"]))
        return httpx.Response(200, stream=bodies[-1])

    outcome = await carried(Carrier(answer))
    assert isinstance(outcome.error, kind)
    assert outcome.error.phase == "body"
    assert [body.closed for body in bodies] == [1]
    bodies.clear()
    outcome = await carried(Carrier(answer), retry=se.Retry(attempts=2, max_wait=0))
    if issubclass(kind, se.TransportError):
        assert outcome.value == b"whole"
        assert [body.closed for body in bodies] == [1, 1]
    else:
        assert type(outcome.error) is kind


@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_ends_it(fatal):
    """It is no failure of a request."""
    with pytest.raises(fatal):
        virtually(carried, Carrier(fatal()))


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx.Response(200, content=b"given"),
        lambda: httpx.Response(200, stream=httpx.ByteStream(b"given")),
        lambda: httpx.Response(200, stream=Body([b"gi", b"", b"ven"])),
        lambda: httpx.Response(200, content=gzip.compress(b"given"), headers={"content-encoding": "gzip"}),
        lambda: httpx.Response(
            200, stream=httpx.ByteStream(gzip.compress(b"given")), headers={"content-encoding": "gzip"}
        ),
    ],
)
async def test_bodies_come_in_any_form(autojump_clock, answer):
    """As content that httpx has decoded already, as a stream of bytes, in parts."""
    made = answer()
    outcome = await carried(Carrier(lambda _: made))
    assert isinstance(outcome, se.Success), outcome.error
    assert outcome.value == b"given"


async def test_a_body_that_is_not_async_is_said(autojump_clock):
    """A response for httpx's synchronous client cannot be read here; it is our error, and not an assertion's."""

    class Sync(httpx.SyncByteStream):
        def __iter__(self):
            yield b"given"

    outcome = await carried(Carrier(httpx.Response(200, stream=Sync())))
    assert isinstance(outcome.error, se.RequestError)


@pytest.mark.parametrize("fault", [httpx.ReadError("lost"), RuntimeError("t0ps3cret"), OSError("gone")])
@pytest.mark.parametrize("steps", [[b"whole"], [b"a part", httpx.ReadError("the first")], [b"x" * 1000]])
async def test_a_body_that_cannot_be_closed_changes_nothing(autojump_clock, fault, steps):
    """The answer that came whole stands, and so does the error that was there before."""

    class Stuck(Body):
        async def aclose(self):
            raise fault

    outcome = await carried(Carrier(lambda _: httpx.Response(200, stream=Stuck(steps))), caps=se.Caps(body=999))
    if steps == [b"whole"]:
        assert isinstance(outcome, se.Success), outcome.error
        assert outcome.value == b"whole"
    else:
        assert type(outcome.error) is (se.ConnectionBroken if len(steps) == 2 else se.BodyTooLarge)


# -- what we promise


@pytest.mark.parametrize(
    ("steps", "headers", "caps", "phase"),
    [
        ([b"x" * 600, b"x" * 600], {}, se.Caps(wire=1000), "body"),
        ([b"x" * 600, b"x" * 600], {}, se.Caps(body=1000), "decode"),
        ([gzip.compress(b"x" * 100_000)], {"content-encoding": "gzip"}, se.Caps(body=1000), "decode"),
        ([b"x"] * 2000, {}, se.Caps(wire=1000), "body"),
    ],
)
async def test_caps(autojump_clock, steps, headers, caps, phase):
    """On the wire and decoded: the body is left at that point, and closed."""
    body = Body([*steps, AssertionError("read on")])
    outcome = await carried(Carrier(httpx.Response(200, headers=headers, stream=body)), caps=caps)
    assert type(outcome.error) is se.BodyTooLarge
    assert outcome.error.phase == phase
    assert body.closed == 1


async def test_the_body_of_a_redirect_is_not_read(autojump_clock):
    """It is closed, and where it leads is asked."""
    body = Body([AssertionError("read")])
    answers = [httpx.Response(302, headers={"location": "/b"}, stream=body), httpx.Response(200, content=b"landed")]
    carrier = Carrier(lambda _: answers.pop(0))
    assert (await carried(carrier)).value == b"landed"
    assert body.closed == 1
    assert [request.url.path for request in carrier.asked] == ["/a", "/b"]


@pytest.mark.parametrize(
    ("body", "phase"),
    [(None, "head"), ([3600, b"x"], "body"), ([step for _ in range(100) for step in (1, b"x")], "body")],
)
async def test_deadlines(autojump_clock, body, phase):
    """The whole attempt is under one, whatever comes meanwhile; what carried it is closed."""
    stream = Body(body or [])
    carrier = Carrier(3600 if body is None else httpx.Response(200, stream=stream))
    outcome = await carried(carrier, timeout=se.Timeout(attempt=10))
    assert type(outcome.error) is se.AttemptTimeout
    assert (outcome.error.phase, outcome.error.seconds, outcome.ran) == (phase, 10, 10)
    assert stream.closed == (body is not None)


async def test_retries_and_turns(autojump_clock):
    """Each attempt takes its turn in the rate, and waits for a `Retry-After`."""
    answers = [httpx.Response(429, headers={"retry-after": "60"}), httpx.ReadError("lost"), httpx.Response(200)]
    carrier = Carrier(lambda _: answers.pop(0))
    retry = se.Retry(attempts=3, max_wait=0)
    assert (await carried(carrier, retry=retry, rate=se.Rate.every(10))).value == b""
    assert [time - carrier.times[0] for time in carrier.times] == [0, 60, 70]


async def test_a_cancelled_request_closes_its_body(autojump_clock):
    """A scope of the scraper's own ends it; the task goes on, and the body is closed by then."""
    body = Body([b"a part", 3600])

    async def scrape(task):
        with trio.move_on_after(5):
            await task.http.get("/a")
        return body.closed

    assert (await carried(Carrier(httpx.Response(200, stream=body)), scrape)).value == 1


async def test_nothing_is_left_to_the_collector(autojump_clock):
    """Bodies in the middle of their generators are closed where they are left; trio warns of those that are not."""

    def answer(_):
        return httpx.Response(200, stream=Body([b"a part"] * 3 + [3600]))

    async def scrape(task):
        for cap in (5, 1000):
            with trio.move_on_after(1):
                async with task.http.stream("GET", "/a", cap=cap) as streamed:
                    async for _ in streamed:
                        pass

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        await carried(Carrier(answer), scrape)
        gc.collect()
    assert not [str(each.message) for each in warned if issubclass(each.category, ResourceWarning)]


@given(
    st.lists(st.binary(max_size=30), max_size=6),
    st.sampled_from([None, "gzip", "identity", "br", "zstd", "deflate", "x-odd", "gzip, gzip", "é"]),
    st.sampled_from([200, 204, 206, 299, 404, 503, 999]),
    st.integers(1, 100),
)
def test_whatever_comes_only_our_errors_leave(parts, coding, status, cap):
    """Any bytes in any coding are an answer within the caps, or one of our errors; the body is closed once."""
    body = Body(parts)
    headers = {} if coding is None else {"content-encoding": coding.encode()}

    async def scrape(task):
        try:
            response = await task.http.get("/a", check=False)
        except se.RequestError as error:
            return type(error)
        assert len(response.content) <= cap
        assert coding not in {None, "identity"} or response.content == b"".join(parts)
        return response.status_code

    def answer(_):
        return httpx.Response(status, headers=list(headers.items()), stream=body)

    outcome = virtually(carried, Carrier(answer), scrape, caps=se.Caps(wire=cap, body=cap))
    assert isinstance(outcome, se.Success), outcome.error
    assert body.closed == 1


# -- whose it is


def test_a_transport_that_guards_nothing_is_refused_with_block_private():
    """It connects where it likes; the message says what to do."""
    with pytest.raises(ValueError, match=r"leave one of the two out"):
        se.Platform("A", get, transport=Carrier(200), block_private=True)
    with pytest.raises(TypeError, match="AsyncBaseTransport"):
        se.Platform("A", get, transport=httpx.HTTPTransport(verify=False))


async def test_the_engine_does_not_close_it(autojump_clock):
    """It is the program's, which may use it again: in the next run, or itself."""
    carrier = Carrier(200)
    for _ in range(2):
        assert (await carried(carrier)).value == b""
    assert not carrier.closed


async def test_it_serves_two_runs_of_an_engine_and_stays_open(autojump_clock):
    """As above, between the runs of one engine; also when a run is cancelled."""
    carrier = Carrier(lambda request: 200 if request.url.path == "/a" else 3600)

    async def scrape(task):
        await task.http.get(task.event.data)

    engine = se.Engine([se.Platform("A", scrape, base_url="http://a.test", transport=carrier)])
    with trio.move_on_after(5) as scope:
        await engine.run([se.Event("e", data="/never")])
    assert scope.cancelled_caught
    assert (await engine.run([se.Event("e", data="/a")])).outcomes.succeeded == 1
    assert not carrier.closed


async def test_two_platforms_with_two_transports(autojump_clock):
    """Each platform's tasks are carried by its own; a visit to the other platform by the visitor's."""
    first, second = Carrier(200), Carrier(200)

    async def scrape(task):
        await task.http.get("/own")
        await task.http.get("http://b.test/visit")

    platforms = [
        se.Platform("A", scrape, base_url="http://a.test", transport=first),
        se.Platform("B", scrape, base_url="http://b.test", transport=second),
    ]
    assert (await se.Engine(platforms).run([se.Event("e")])).outcomes.succeeded == 2
    assert [str(request.url) for request in first.asked] == ["http://a.test/own", "http://b.test/visit"]
    assert [str(request.url) for request in second.asked] == ["http://b.test/own", "http://b.test/visit"]


async def test_a_transport_that_returns_nothing_has_not_run_out_of_time(autojump_clock):
    """It says so, and at once."""
    outcome = await carried(Carrier(lambda _: None))
    assert type(outcome.error) is se.TransportError
    assert "the transport gave no answer" in str(outcome.error)
    assert outcome.ran == 0


async def test_one_platform_with_a_transport_and_one_without():
    """The other one goes by our own wire, in the same run."""
    carrier = Carrier(lambda _: httpx.Response(200, content=b"carried"))

    async def answer(_):
        return Answer(200, b"ours")

    async with Site.open(answer) as site:
        platforms = [
            se.Platform("A", get, base_url="http://a.test", transport=carrier),
            se.Platform("B", get, base_url=site.url),
        ]
        async with se.Engine(platforms).stream([se.Event("e")]) as run:
            found = {outcome.platform: outcome.value async for outcome in run}
    assert found == {"A": b"carried", "B": b"ours"}


async def test_one_transport_for_two_platforms(autojump_clock):
    """It may serve many; tuning one of them does not take it away."""
    carrier = Carrier(200)

    async def scrape(task):
        task.event.data.tune(task.platform, limit=3)
        await task.http.get("/x")

    engine = se.Engine([se.Platform(name, scrape, base_url=f"http://{name}.test", transport=carrier) for name in "ab"])
    assert (await engine.run([se.Event("e", data=engine)])).outcomes.succeeded == 2
    assert {request.url.host for request in carrier.asked} == {"a.test", "b.test"}


async def test_robots_are_asked_by_it_too(autojump_clock):
    """A platform that obeys robots.txt reads it over the transport that carries its requests."""

    def answer(request):
        return httpx.Response(200, content=b"User-agent: *\nDisallow: /a" if request.url.path == "/robots.txt" else b"")

    carrier = Carrier(answer)
    assert type(await carried(carrier, robots=True)) is se.Skipped
    assert [request.url.path for request in carrier.asked] == ["/robots.txt"]
