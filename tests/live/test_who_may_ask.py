"""Who may ask a live page for what: by real sockets, each check refused and allowed."""

import json

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

import scrapeengine as se
from live.looking import Looker
from scrapeengine.observe.live.access import Access, is_loopback, names_of

COMMAND = b'{"do": "pause", "platform": "p"}'
JSON = "Content-Type: application/json"


async def scrape(task):
    """Take a while."""
    await trio.sleep(0.01)


@pytest.fixture
async def shown():
    """Serve the page of a run that goes on; return the engine and one who asks."""
    engine = se.Engine([se.Platform("p", scrape, limit=3)])
    async with (
        engine.stream(se.Event(number) for number in range(10**9)) as run,
        se.observe.Dashboard(run, engine, hosts=["scraper.example"]) as page,
        trio.open_nursery() as nursery,
    ):

        async def read():
            async for _ in run:
                pass

        nursery.start_soon(read)
        yield engine, Looker(page)
        nursery.cancel_scope.cancel()


def limit(engine):
    """Return the limit of the platform, which the command would make 0."""
    return engine.settings().platforms["p"].limit


REFUSED = [
    ("no token", 401, {"token": ""}),
    ("a wrong token", 401, {"token": "0" * 32}),
    ("a token of another length", 401, {"token": "0"}),
    ("a token beyond ASCII", 401, {"token": "é" * 16}),
    ("a foreign name (DNS rebinding)", 403, {"host": "evil.example"}),
    ("a foreign name with our port", 403, {"host": "127.0.0.1.evil.example:80"}),
    ("an empty name", 403, {"host": " "}),
    ("a foreign origin", 403, {"headers": [JSON, "Origin: http://evil.example"]}),
    ("an origin at another port", 403, {"headers": [JSON, "Origin: http://127.0.0.1:1"]}),
    ("an origin of a file or a sandbox", 403, {"headers": [JSON, "Origin: null"]}),
    ("a form", 415, {"headers": ["Content-Type: text/plain"]}),
    ("no type", 415, {"headers": []}),
]


@pytest.mark.parametrize(("why", "status", "values"), REFUSED, ids=[why for why, *_ in REFUSED])
async def test_a_command_is_refused(shown, why, status, values):
    """And nothing was done."""
    engine, looker = shown
    answer = await looker.ask("POST", "/do", body=COMMAND, **({"headers": [JSON]} | values))
    assert answer.status == status, why
    assert answer.json()["error"]
    assert limit(engine) == 3


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        (None, []),
        (None, ["Origin: http://{host}"]),
        ("localhost:{port}", ["Origin: http://localhost:{port}"]),
        ("LOCALHOST", []),
        ("[::1]:{port}", []),
        ("scraper.example", ["Origin: https://scraper.example"]),
    ],
)
async def test_a_command_is_done(shown, host, headers):
    """For who has the token, by each name that is served, from the page itself or without a page."""
    engine, looker = shown
    words = {"port": looker.port, "host": looker.host}
    host = None if host is None else host.format(**words)
    answer = await looker.ask(
        "POST", "/do", body=COMMAND, host=host, headers=[JSON, *(each.format(**words) for each in headers)]
    )
    assert (answer.status, answer.json()) == (200, {"said": "p is paused"})
    assert limit(engine) == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS", "DELETE"])
async def test_nothing_but_a_post_does_anything(shown, method):
    """A link or an image can only GET."""
    engine, looker = shown
    for path in ("/do", "/do?do=pause&platform=p"):
        assert (await looker.ask(method, path, headers=[JSON])).status == 405
    assert limit(engine) == 3


@pytest.mark.parametrize("values", [{"token": ""}, {"token": "0" * 32}, {"host": "evil.example"}])
async def test_what_a_run_does_is_for_who_has_the_token(shown, values):
    """Nor can a foreign page read it by its own name."""
    _, looker = shown
    answer = await looker.ask("GET", "/events", **values)
    assert answer.status in {401, 403}
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("path", ["/", "/live.js", "/page.js", "/live.css", "/page.css"])
async def test_the_files_of_the_page_say_nothing_and_run_nothing_of_others(shown, path):
    """They need no token, for the browser has none yet; a foreign name gets not even these."""
    _, looker = shown
    answer = await looker.ask("GET", path, token="")
    assert answer.status == 200
    assert looker.token.encode() not in answer.body
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in answer.headers
    assert (await looker.ask("GET", path, token="", host="evil.example")).status == 403
    assert (await looker.ask("POST", path, body=b"{}", headers=[JSON])).status == 405


async def test_the_page_has_no_inline_script_or_style(shown):
    """What the policy forbids is not there."""
    _, looker = shown
    text = (await looker.ask("GET", "/")).body.decode()
    assert text.count("<script") == text.count("<script src=")
    assert "<style" not in text
    assert " on" not in text.partition("<body")[2].replace("turned on", "").replace("turned off", "")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01 TLS",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nOrigin: http://evil.example\r\n\r\n",
        b"POST /do HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000,
    ],
)
async def test_what_is_no_request_is_refused(shown, data):
    """And the page goes on."""
    engine, looker = shown
    async with await looker.connect() as stream:
        try:
            await stream.send_all(data)
            answer = b"".join([chunk async for chunk in stream])
        except trio.BrokenResourceError:
            answer = b""
    assert not answer or 400 <= int(answer.split()[1]) < 500
    assert (await looker.do("pause", platform="p")).status == 200
    assert limit(engine) == 0


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "JSON"),
        (b"[" * 60_000, "JSON"),
        (b"[]", "object"),
        (b'{"do": ["pause"]}', "object"),
        (b'{"do": "exec"}', "there are pause, resume"),
        (b'{"do": "pause"}', "platform"),
        (b'{"do": "pause", "platform": 7}', "platform"),
        (b'{"do": "pause", "platform": "q"}', "no platform is named 'q'"),
        (b'{"do": "pause", "platform": "p", "x": 1}', "not 'x'"),
        (b'{"do": "tune", "platform": "p"}', "tune what"),
        (b'{"do": "tune", "platform": "p", "limit": true}', "whole number"),
        (b'{"do": "tune", "platform": "p", "rate": 0}', "more than 0"),
        (b'{"do": "tune", "platform": "p", "rate": 1e999}', "finite"),
        (b'{"do": "tune", "platform": "p", "limit": NaN}', "whole number"),
        (b'{"do": "resume", "platform": "p", "limit": 0}', "at least 1"),
        (b'{"do": "close", "platform": "p"}', "number"),
        (b'{"do": "stop", "grace": -1}', "at least 0"),
        (b'{"do": "retry", "platform": "p"}', "has no store"),
        (b'{"do": "store_pause", "platform": "p"}', "has no store"),
    ],
)
async def test_a_command_that_makes_no_sense_says_so(shown, body, why):
    """As an answer that the page shows."""
    engine, looker = shown
    answer = await looker.ask("POST", "/do", headers=[JSON], body=body)
    assert answer.status == 400
    assert why in json.loads(answer.body)["error"]
    assert limit(engine) == 3


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("scraper.example:8080", "Scraper.Example"),
        ("scraper.example", "scraper.example.:80"),
        ("scraper.example.", "scraper.example"),
        ("[fd00::1]:80", "[fd00:0:0::1]"),
        ("FD00::1", "[fd00::1]:80"),
        ("127.0.0.9", "127.0.0.9:80"),
    ],
)
def test_a_name_is_the_same_however_it_is_written(given, asked):
    """With a port or without, with brackets, with the dot that ends it."""
    access = Access(TOKEN, names_of([given], "hosts"))
    assert access.refusal("GET", {"host": asked}, acts=False, is_open=True) is None
    assert access.refusal("GET", {"host": f"x{asked}"}, acts=False, is_open=True) is not None
    assert access.refusal("GET", {}, acts=False, is_open=True) is not None


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:192.0.2.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
    ],
)
def test_what_is_loopback(address, here):
    """By the address that is bound."""
    assert is_loopback(address) is here


TOKEN = "0123456789abcdef"
NAMES = [
    "127.0.0.1:80",
    "localhost",
    "[::1]:9",
    "Page.Test",
    "evil.test",
    "127.0.0.1.evil.test",
    "",
    "[evil.test",
    "::1",
]


@example(
    method="GET",
    host="localhost",
    origin=None,
    said=f"Basic {TOKEN}",
    kind=None,
    acts=False,
    is_open=False,
)
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "get"]),
    host=st.none() | st.sampled_from(NAMES),
    origin=st.none() | st.sampled_from(["null", "http://evil.test", *(f"http://{name}" for name in NAMES)]),
    said=st.none()
    | st.sampled_from([f"Bearer {TOKEN}", f"bearer  {TOKEN}", TOKEN, f"Basic {TOKEN}", "Bearer ", "Bearer x"]),
    kind=st.none() | st.sampled_from(["application/json", "Application/JSON; charset=utf-8", "text/plain", ""]),
    acts=st.booleans(),
    is_open=st.booleans(),
)
def test_who_is_let_in_lacks_nothing_and_who_lacks_nothing_is_let_in(method, host, origin, said, kind, acts, is_open):
    """The rules once more, in other words."""
    given_headers = {"host": host, "origin": origin, "authorization": said, "content-type": kind}
    headers = {name: value for name, value in given_headers.items() if value is not None}
    refusal = Access(TOKEN, frozenset({"page.test"})).refusal(method, headers, acts=acts, is_open=is_open)
    named = host in {"127.0.0.1:80", "localhost", "[::1]:9", "Page.Test"}
    own = origin is None or origin == f"http://{host}"
    knows = said in {f"Bearer {TOKEN}", f"bearer  {TOKEN}"}
    json_alone = kind in {"application/json", "Application/JSON; charset=utf-8"}
    allowed = (
        named and own and method == ("POST" if acts else "GET") and (is_open or (knows and (json_alone or not acts)))
    )
    assert (refusal is None) == allowed
