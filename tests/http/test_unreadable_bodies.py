"""Bodies in a coding that cannot be read here: an error that says what helps, and never bytes that pass for text."""

import runpy
import subprocess
import sys

import httpx
import pytest

import scrapeengine as se
from scrapeengine.http.wire import decoding
from scrapeengine.testing import Answer

ZSTD = b"(\xb5/\xfd\x04\x00\x11\x00\x00ok\xd7\xed\x82\x8b"
"""`ok`, in a frame of zstd."""
EXTRA = "pip install --upgrade 'scrapeengine[encodings]'"
NEEDS_EXTRA = "br" if sys.version_info >= (3, 14) else "zstd"
TWICE = se.Retry(attempts=2, max_wait=0)


@pytest.fixture(autouse=True)
def without_libraries(monkeypatch):
    """Have the codings that there are without the extra."""
    with monkeypatch.context() as patch:
        for name in ("brotli", "backports", "compression"):
            patch.setitem(sys.modules, name, None)
        alone = runpy.run_path(decoding.__file__)
    for name in ("br", "zstd"):
        monkeypatch.setitem(decoding._MAKERS, name, alone["_MAKERS"][name])


def coded(coding, status=200, body=ZSTD, **headers):
    """Make an answer."""
    return Answer(status, body, {"Content-Encoding": coding, **headers})


def in_turn(*answers):
    """Give one answer after the other."""
    left = list(answers)

    async def answer(_):
        return left.pop(0)

    return answer


async def get(task):
    """Make one request."""
    return (await task.http.get("/a")).content


async def streamed(task):
    """Read a body part by part."""
    async with task.http.stream("GET", "/a") as answer:
        return b"".join([part async for part in answer])


@pytest.mark.parametrize("scrape", [get, streamed])
@pytest.mark.parametrize(
    "coding", ["zstd", "br", "ZSTD", "none, br", "gzip, zstd", "zstd, utf-8", "compress", "dcb", "exi"]
)
async def test_it_is_an_error_that_says_what_helps(on_sites, coding, scrape):
    """Of those that the extra brings it names the extra; nothing is asked again, for the site would send the same."""
    seen = await on_sites(scrape, {"/a": coded(coding)}, retry=TWICE)
    error = seen.error
    assert type(error) is se.UnsupportedEncoding
    assert (error.phase, error.attempt, error.method) == ("decode", 1, "GET")
    assert "which cannot be read here" in str(error)
    assert (EXTRA in str(error)) == (NEEDS_EXTRA in coding.lower() or "br" in coding.split(", "))
    assert len(seen.asked) == 1


def test_so_it_is_on_another_s_transport():
    """The wire makes no difference."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers={"Content-Encoding": "br"}, content=b"x"))
    [outcome] = se.collect(
        [se.Platform("A", get, base_url="http://a.test", transport=transport, retry=TWICE)], [se.Event("e")]
    )
    assert type(outcome.error) is se.UnsupportedEncoding


async def test_who_wants_to_ask_again_can(on_sites):
    """A site of many servers may send it in another form."""
    seen = await on_sites(
        get,
        {"/a": in_turn(coded("br"), Answer(200, b"ok"))},
        retry=se.Retry(errors=(se.UnsupportedEncoding,), max_wait=0),
    )
    assert seen.value == b"ok"


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", ", ".join(["gzip"] * 9)])
@pytest.mark.parametrize(
    ("method", "status", "body"), [("HEAD", 200, b""), ("GET", 304, b""), ("GET", 204, b""), ("GET", 200, b"")]
)
async def test_where_there_is_no_body_there_is_nothing_to_read(on_sites, method, status, body, coding):
    """The header may stand there all the same."""

    async def scrape(task):
        answer = await task.http.request(method, "/a")
        return answer.status_code, answer.content, answer.headers["content-encoding"]

    assert (await on_sites(scrape, {"/a": coded(coding, status, body)})).value == (status, b"", coding)


async def test_the_body_of_a_redirect_is_not_read(on_sites):
    """So it does not matter what it is."""
    answers = {"/a": coded("br", 302, Location="/b"), "/b": Answer(200, b"ok")}
    assert (await on_sites(get, answers)).value == b"ok"


@pytest.mark.parametrize("label", ["utf-8", "none", "UTF-8, none", ""])
async def test_a_label_that_is_no_coding_says_nothing(on_sites, label):
    """The body is what it is."""
    assert (await on_sites(get, {"/a": coded(label, body=b"ok")})).value == b"ok"


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_a_bad_status_is_what_it_is(on_sites, status):
    """It says more than its body would have; the note says why there is none."""
    error = (await on_sites(get, {"/a": coded("zstd", status)}, retry=se.Retry(attempts=1))).error
    assert type(error) is se.StatusError
    assert (error.status, error.response.content) == (status, b"")
    assert ["cannot be read here" in note for note in error.__notes__] == [True]


async def test_a_bad_status_is_tried_again_as_ever(on_sites):
    """Whatever its body is in."""
    seen = await on_sites(get, {"/a": in_turn(coded("zstd", 503), Answer(200, b"ok"))}, retry=TWICE)
    assert (seen.value, len(seen.asked)) == (b"ok", 2)


@pytest.mark.parametrize("way", ["get", "stream"])
async def test_without_check_there_is_no_answer_to_return(on_sites, way):
    """An empty body would be a lie, and the coded one no body."""

    async def scrape(task):
        if way == "get":
            return (await task.http.get("/a", check=False)).content
        async with task.http.stream("GET", "/a", check=False) as answer:
            return b"".join([part async for part in answer])

    error = (await on_sites(scrape, {"/a": coded("zstd", 404)})).error
    assert type(error) is se.UnsupportedEncoding
    assert error.phase == "decode"


async def test_no_file_is_left_of_it(on_sites, tmp_path):
    """Neither the file nor a part of it."""

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            await answer.save(tmp_path / "a")

    assert type((await on_sites(scrape, {"/a": coded("zstd")})).error) is se.UnsupportedEncoding
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "value"), [(200, None), (404, b"ok")])
async def test_a_robots_txt_of_it_says_so(on_sites, status, value):
    """What cannot be read does not forbid in silence; and one that is not there allows, whatever its body is in."""
    seen = await on_sites(get, {"/robots.txt": coded("zstd", status), "/a": Answer(200, b"ok")}, robots=True)
    if value is None:
        assert type(seen.error) is se.UnsupportedEncoding
        assert seen.error.url.endswith("/robots.txt")
    else:
        assert seen.value == value


PROGRAM = """
import sys
for name in ("brotli", "backports", "backports.zstd", "compression", "compression.zstd"):
    sys.modules[name] = None
import trio
import scrapeengine as se
from scrapeengine.testing import Answer, Site

async def answer(request):
    assert request.headers["accept-encoding"] == "gzip, deflate", request.headers
    return Answer(200, b"x", {"Content-Encoding": request.path[1:]})

async def scrape(task):
    return (await task.http.get("/" + task.event.id)).content

async def main():
    async with Site.open(answer) as site:
        async with se.Engine([se.Platform("A", scrape, base_url=site.url)]).stream(map(se.Event, sys.argv[1:])) as run:
            async for outcome in run:
                print(outcome.event.id, outcome.value if isinstance(outcome, se.Success) else outcome.error)

trio.run(main)
"""


def test_a_program_without_the_extra():
    """From its import on: it asks for neither, and says what to install where it gets them."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, "br", "zstd", "none"], capture_output=True, text=True, check=True, timeout=60
    )
    said = dict(line.split(" ", 1) for line in run.stdout.splitlines())
    assert said["none"] == "b'x'"
    for coding in ("br", "zstd"):
        assert f"the body is {coding}, which cannot be read here" in said[coding]
    assert EXTRA in said[NEEDS_EXTRA]
