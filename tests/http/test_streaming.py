"""Bodies that are read as they come: into an iterator or a file, under caps and deadlines."""

import functools
import gzip
import os
import stat
import sys

import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.testing import Answer, Site
from support.clients import Body
from support.runs import ONCE, on

LARGE = os.urandom(1000) * 1000
"""Of a million bytes."""
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"


async def parts_of(task, url="/a", **options):
    """Read a streamed body part by part."""
    async with task.http.stream("GET", url, **options) as answer:
        return [part async for part in answer]


async def whole(task):
    """Read a streamed body."""
    return b"".join(await parts_of(task))


@pytest.fixture
def played():
    """Return a function that runs a scraper, and answers by a function of the request, by the test's own clock.

    What works in threads needs the real one: the virtual one does not wait for them.
    """

    async def run(scrape, answer, *, events=("e",), **policy):
        policy.setdefault("base_url", "http://a.test")
        platform = se.Platform("A", scrape, transport=httpx.MockTransport(answer), **({"retry": ONCE} | policy))
        async with se.Engine([platform]).stream([se.Event(each) for each in events]) as stream:
            outcomes = [outcome async for outcome in stream]
        return outcomes[0] if len(outcomes) == 1 else outcomes

    return run


# -- the body


@pytest.mark.parametrize("body", [b"", b"x", LARGE], ids=["none", "one byte", "a megabyte"])
async def test_all_of_the_body_comes(on_sites, body):
    """In parts of at most 64 KiB or a little more, none of them empty."""
    parts = (await on_sites(parts_of, {"/a": Answer(200, body)})).value
    assert b"".join(parts) == body
    assert all(0 < len(part) <= 2 * 65536 for part in parts)


async def test_a_compressed_body_comes_decoded(on_sites):
    """In steps too: ten megabytes of nothing in no part of more than 128 KiB."""
    body = bytes(10_000_000)
    answer = Answer(200, gzip.compress(body), {"Content-Encoding": "gzip"})
    parts = (await on_sites(parts_of, {"/a": answer})).value
    assert b"".join(parts) == body
    assert max(map(len, parts)) <= 2 * 65536


async def test_parts_come_as_they_are_sent():
    """The first one is there before the site sends the second."""

    async def serve(talk):
        await talk.request()
        await talk.send(CHUNKED + b"\r\n5\r\nfirst\r\n")
        await seen.wait()
        await talk.send(b"6\r\nsecond\r\n0\r\n\r\n")

    async def scrape(task):
        found = []
        async with task.http.stream("GET", "/a") as answer:
            async for part in answer:
                found.append(part)
                seen.set()
        return found

    seen = trio.Event()
    assert (await on(serve, scrape)).value == [b"first", b"second"]


async def test_the_head_is_there_before_the_body(on_sites):
    """Status, headers and URL can be looked at without reading; the URL is without user and password."""

    async def scrape(task):
        url = task.event.data["here"].replace("//", "//anna:hunter2@") + "/a"
        async with task.http.stream("GET", url) as answer:
            return answer.status_code, answer.headers["x-a"], str(answer.url), repr(answer)

    status, header, url, text = (await on_sites(scrape, {"/a": Answer(203, LARGE, {"X-A": "1"})})).value
    assert (status, header) == (203, "1")
    assert url.endswith("/a")
    assert "@" not in url
    assert text == "<Streamed [203]>"


async def test_a_body_can_be_read_once(on_sites):
    """What comes after the end is nothing, again and again."""

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            return [[part async for part in answer] for _ in range(3)]

    assert (await on_sites(scrape, {"/a": Answer(200, b"once")})).value == [[b"once"], [], []]


async def test_after_the_block_it_cannot_be_read(on_sites):
    """An answer that was carried out of its block says so: an empty body would be taken for the real one."""

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            pass
        await task.http.get("/b")
        return [part async for part in answer]

    error = (await on_sites(scrape, {"/a": Answer(200, LARGE)})).error
    assert isinstance(error, RuntimeError)
    assert "async with task.http.stream" in str(error)


async def test_post_with_a_body(on_sites):
    """A stream takes what a request takes."""

    async def scrape(task):
        parts = {"params": {"q": 1}, "headers": {"X-A": "1"}, "json": [1]}
        async with task.http.stream("post", "/a", **parts) as answer:
            return [part async for part in answer]

    seen = await on_sites(scrape, {"/a": Answer(200, b"ok")})
    [request] = seen.asked
    assert (request.method, request.target, request.headers["x-a"], request.body) == ("POST", "/a?q=1", "1", b"[1]")
    assert seen.value == [b"ok"]


# -- into a file


async def test_save(on_sites, tmp_path):
    """The file holds the decoded body, for its owner alone, and nothing else is there."""
    path = tmp_path / "page"

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            return await answer.save(path)

    answer = Answer(200, gzip.compress(LARGE), {"Content-Encoding": "gzip"})
    before = os.umask(0)
    try:
        assert (await on_sites(scrape, {"/a": answer})).value == len(LARGE)
    finally:
        os.umask(before)
    assert path.read_bytes() == LARGE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [str, os.fspath, lambda path: path])
async def test_save_replaces_an_earlier_file(on_sites, tmp_path, kind):
    """By one that is whole, and private though the earlier one was not; a path may be a text."""
    path = tmp_path / "page"
    path.write_bytes(b"earlier")
    path.chmod(0o644)

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            return await answer.save(kind(path))

    assert (await on_sites(scrape, {"/a": Answer(200, b"later")})).value == 5
    assert path.read_bytes() == b"later"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("fault", ["cut short", "too large", "not gzip", "timeout", "error page"])
async def test_what_fails_leaves_no_file_and_the_earlier_one(played, tmp_path, fault):
    """The error leaves as it is for the iterator; a file of that name is as it was."""
    path = tmp_path / "page"
    path.write_bytes(b"earlier")
    body = {
        "cut short": Body([b"a part", httpx.ReadError("lost")]),
        "too large": Body([b"x" * 600, b"x" * 600]),
        "not gzip": Body([b"not gzip"]),
        "timeout": Body([b"a part", 3600]),
        "error page": Body([b"not found"]),
    }[fault]
    kinds = [se.ConnectionBroken, se.BodyTooLarge, se.ProtocolError, se.AttemptTimeout, se.StatusError]
    kind = dict(zip(("cut short", "too large", "not gzip", "timeout", "error page"), kinds, strict=True))[fault]
    headers = {"content-encoding": "gzip"} if fault == "not gzip" else {}

    def answer(request):
        return httpx.Response(404 if fault == "error page" else 200, headers=headers, stream=body)

    async def scrape(task):
        async with task.http.stream("GET", "/a", cap=1000) as streamed:
            await streamed.save(path)

    outcome = await played(scrape, answer, timeout=se.Timeout(attempt=0.5))
    assert type(outcome.error) is kind
    assert body.closed
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("by", ["a scope", "the task's time", "the end of the run"])
async def test_cancelled_it_leaves_no_file(tmp_path, by):
    """In the middle of the body, by whatever: nothing is left, and the site sees its client gone."""
    gone, begun = trio.Event(), trio.Event()

    async def serve(talk):
        await talk.request()
        await talk.send(HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(100_000))
        begun.set()
        await talk.client_gone()
        gone.set()

    async def scrape(task):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _():
                await begun.wait()
                while not list(tmp_path.iterdir()):
                    await trio.lowlevel.checkpoint()
                if by == "a scope":
                    nursery.cancel_scope.cancel()
                elif by == "the end of the run":
                    raise SystemExit(3)

            async with task.http.stream("GET", "/a") as answer:
                await answer.save(tmp_path / "page")
        await gone.wait()
        return "went on"

    timeout = se.Timeout(task=1) if by == "the task's time" else se.Timeout()
    if by == "the end of the run":
        with pytest.raises(SystemExit):
            await on(serve, scrape, timeout=timeout)
    else:
        outcome = (await on(serve, scrape, timeout=timeout)).outcome
        assert outcome.value == "went on" if by == "a scope" else type(outcome.error) is se.TaskTimeout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", ["missing/page", "folder"])
async def test_a_file_that_cannot_be_written(on_sites, tmp_path, target):
    """It is an `OSError`, nothing is left, and the task goes on."""
    (tmp_path / "folder").mkdir()

    async def scrape(task):
        try:
            async with task.http.stream("GET", "/a") as answer:
                await answer.save(tmp_path / target)
        except OSError as error:
            return type(error), (await task.http.get("/b")).status_code

    kind = FileNotFoundError if target == "missing/page" else IsADirectoryError
    assert (await on_sites(scrape, {"/a": Answer(200, b"body")})).value == (kind, 200)
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("before", ["a part", "a save", "the block"])
async def test_a_body_is_saved_whole_or_not_at_all(on_sites, tmp_path, before):
    """After a part, a second time, or outside the block it is refused, and an earlier file stays as it is."""
    target = tmp_path / "file"
    target.write_bytes(b"earlier")

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            if before == "a part":
                await anext(aiter(answer))
            if before == "a save":
                await answer.save(tmp_path / "other")
            if before != "the block":
                await answer.save(target)
        await answer.save(target)

    error = (await on_sites(scrape, {"/a": Answer(200, LARGE)})).error
    assert isinstance(error, RuntimeError)
    assert "saved once" in str(error)
    assert target.read_bytes() == b"earlier"


# -- caps


@pytest.mark.parametrize(
    ("options", "policy", "fits"),
    [
        ({}, {}, True),
        ({}, {"caps": se.Caps(wire=999_999)}, False),
        ({}, {"caps": se.Caps(body=999_999)}, False),
        ({"cap": 1_000_100}, {"caps": se.Caps(wire=10, body=10)}, True),
        ({"cap": float("inf")}, {"caps": se.Caps(wire=10, body=10)}, True),
        ({"cap": 999_999}, {}, False),
        ({"cap": 0.5}, {}, False),
    ],
)
@pytest.mark.parametrize("framing", ["length", "chunks", "foreign"])
async def test_caps(played, options, policy, fits, framing):
    """`cap` stands in place of the platform's `Caps`, be it more or less; on the wire the chunks' frames count too."""

    async def scrape(task):
        return b"".join(await parts_of(task, **options)) == LARGE

    async def serve(talk):
        await talk.request()
        if framing == "length":
            await talk.send(HEAD + b"Content-Length: 1000000\r\n\r\n" + LARGE)
        else:
            await talk.send(CHUNKED + b"\r\nF4240\r\n" + LARGE + b"\r\n0\r\n\r\n")

    if framing == "foreign":
        cut = [LARGE[at : at + 50_000] for at in range(0, len(LARGE), 50_000)]
        outcome = await played(scrape, lambda _: httpx.Response(200, stream=Body(cut)), **policy)
    else:
        outcome = (await on(serve, scrape, **policy)).outcome
    if fits:
        assert outcome.value is True
    else:
        assert type(outcome.error) is se.BodyTooLarge


async def test_a_bomb_is_left_at_the_cap(on_sites):
    """What is small on the wire and large decoded goes no further than the cap, part by part."""
    sizes = []

    async def scrape(task):
        async with task.http.stream("GET", "/a", cap=1_000_000) as answer:
            async for part in answer:
                sizes.append(len(part))

    answer = Answer(200, gzip.compress(bytes(50_000_000)), {"Content-Encoding": "gzip"})
    error = (await on_sites(scrape, {"/a": answer})).error
    assert (type(error), error.phase) == (se.BodyTooLarge, "decode")
    assert 500_000 < sum(sizes) <= 1_000_000


@pytest.mark.parametrize("cap", [0, -1, float("nan"), "large"])
async def test_a_cap_that_is_none(on_sites, cap):
    """It is said where it is made, and nothing is asked."""
    seen = await on_sites(functools.partial(_with_cap, cap=cap))
    assert type(seen.error) is (TypeError if isinstance(cap, str) else ValueError)
    assert "stream(cap=…)" in str(seen.error)
    assert not seen.asked


async def _with_cap(task, cap):
    await parts_of(task, cap=cap)


# -- what ends it


async def test_leaving_early_closes_the_connection():
    """The rest of the body is not waited for: the site sees its client gone, and the next request has a new one."""
    served = []

    async def serve(talk):
        served.append(talk)
        await talk.request()
        if len(served) == 1:
            await talk.send(HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(70_000))
            await talk.client_gone()
            gone.set()
        else:
            await talk.send(HEAD + b"Content-Length: 2\r\n\r\nok")

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            async for _ in answer:
                break
        await gone.wait()
        return (await task.http.get("/b")).content

    gone = trio.Event()
    outcome = (await on(serve, scrape)).outcome
    assert isinstance(outcome, se.Success), outcome.error
    assert outcome.value == b"ok"
    assert len(served) == 2


async def test_a_body_that_was_read_whole_leaves_its_connection_for_the_next_request():
    """Streams and requests share what is kept."""

    async def answer(_):
        return Answer(200, LARGE)

    async def scrape(task):
        for _ in range(3):
            await whole(task)
            await task.http.get("/b")

    async with Site.open(answer) as site:
        report = await se.Engine([se.Platform("A", scrape, base_url=site.url)]).run([se.Event("e")])
    assert report.outcomes.succeeded == 1
    assert (site.ledger.requests, site.ledger.connections) == (6, 1)


@pytest.mark.parametrize("where", ["own", "foreign"])
async def test_an_error_of_the_scraper_s_own_closes_it_too(played, where):
    """What the block raises leaves as it is."""
    body = Body([b"a part", 3600])
    gone = trio.Event()

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            async for _ in answer:
                raise LookupError("no such thing in there")

    async def serve(talk):
        await talk.request()
        await talk.send(HEAD + b"Content-Length: 100\r\n\r\na part")
        await talk.client_gone()
        gone.set()

    if where == "own":
        outcome = (await on(serve, scrape)).outcome
    else:
        outcome = await played(scrape, lambda _: httpx.Response(200, stream=body))
        assert body.closed
    assert type(outcome.error) is LookupError


@pytest.mark.parametrize(
    ("head", "end", "kind", "phase"),
    [
        (HEAD + b"Content-Length: 100\r\n\r\n", b"a part", se.TruncatedBody, "body"),
        (CHUNKED + b"\r\n", b"6\r\na part\r\n", se.TruncatedBody, "body"),
        (CHUNKED + b"\r\n", b"6\r\na part\r\nzz\r\n", se.ProtocolError, "body"),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n", b"nope", se.ProtocolError, "decode"),
    ],
)
async def test_a_body_that_breaks(head, end, kind, phase):
    """It is the error that it is for a whole answer, says where it was, and is not tried again: the head was shown."""
    served, shown = [], trio.Event()

    async def serve(talk):
        served.append(talk)
        await talk.request()
        await talk.send(head)
        await shown.wait()
        await talk.send(end)

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            shown.set()
            return [part async for part in answer]

    outcome = (await on(serve, scrape, retry=se.Retry(attempts=3, max_wait=0))).outcome
    assert type(outcome.error) is kind
    assert (outcome.error.phase, outcome.error.attempt, outcome.error.platform) == (phase, 1, "A")
    assert len(served) == 1


# -- statuses, retries, redirects


@pytest.mark.parametrize("check", [True, False])
async def test_an_error_status(on_sites, check):
    """It is raised, its body read, or handed out like any other answer."""

    async def scrape(task):
        async with task.http.stream("GET", "/a", check=check) as answer:
            return answer.status_code, answer.headers["x-a"], [part async for part in answer]

    seen = await on_sites(scrape, {"/a": Answer(404, b"not there", {"X-A": "1"})})
    if check:
        assert type(seen.error) is se.StatusError
        assert seen.error.response.content == b"not there"
    else:
        assert seen.value == (404, "1", [b"not there"])


@pytest.mark.parametrize("check", [True, False])
async def test_up_to_the_head_it_is_tried_again(on_sites, check):
    """Errors and statuses that may pass, as for any request; a good one in the end is streamed."""
    tries = []

    async def answer(request):
        tries.append(request)
        return [None, Answer(503), Answer(200, b"body")][len(tries) - 1]

    async def scrape(task):
        return b"".join(await parts_of(task, check=check))

    assert (await on_sites(scrape, {"/a": answer}, retry=se.Retry(attempts=3, max_wait=0))).value == b"body"
    assert len(tries) == 3


async def test_an_empty_error_page_has_no_part(on_sites):
    """Its body is nothing, not one part of nothing."""
    assert (await on_sites(_unchecked, {"/a": Answer(404)})).value == []


async def _unchecked(task):
    return await parts_of(task, check=False)


async def test_redirects_are_followed(on_sites):
    """To the other site, with the turn taken there; the URL is that of where the body came from."""

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            return str(answer.url), b"".join([part async for part in answer])

    answers = {
        "/a": Answer(302, b"x" * 100_000, {"Location": "{there}/b"}),
        "/b": Answer(307, headers={"Location": "/c"}),
        "/c": Answer(200, LARGE),
    }
    seen = await on_sites(scrape, answers)
    assert seen.value[0].endswith("/c")
    assert seen.value[1] == LARGE
    assert [request.path for request in seen.abroad] == ["/b", "/c"]


async def test_a_redirect_to_nowhere(on_sites):
    """What cannot be followed is a `RedirectError` here too."""
    assert (
        type((await on_sites(whole, {"/a": Answer(302, headers={"Location": "ftp://a.test/"})})).error)
        is se.RedirectError
    )


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body(on_sites, status):
    """It has no part, and its connection is kept."""

    async def scrape(task):
        async with task.http.stream("GET", "/a", check=False) as answer:
            return answer.status_code, [part async for part in answer]

    assert (await on_sites(scrape, {"/a": Answer(status)})).value == (status, [])


# -- deadlines


def slowly(gap, times):
    """Make a body that comes in parts, with a gap before each."""
    return Body([step for _ in range(times) for step in (gap, b"part")])


async def test_longer_than_an_attempt_in_all_is_fine(autojump_clock, played):
    """A hundred parts, each 9 s after the other, come in spite of a limit of 10 s."""
    outcome = await played(
        whole,
        lambda _: httpx.Response(200, stream=slowly(9, 100)),
        timeout=se.Timeout(attempt=10, task=1000),
    )
    assert outcome.value == b"part" * 100
    assert outcome.ran == 900


async def test_a_part_that_does_not_come(autojump_clock, played):
    """Its limit is that of an attempt, from when it was asked for: the error says that it was in the body."""
    body = Body([b"part", 9, b"part", 11, b"part"])
    outcome = await played(whole, lambda _: httpx.Response(200, stream=body), timeout=se.Timeout(attempt=10))
    assert type(outcome.error) is se.AttemptTimeout
    assert (outcome.error.phase, outcome.error.seconds, outcome.ran) == ("body", 19, 19)
    assert body.closed


async def test_a_part_that_does_not_come_on_our_own_wire():
    """The connection is closed, and the site sees it."""
    gone = trio.Event()

    async def serve(talk):
        await talk.request()
        await talk.send(HEAD + b"Content-Length: 100\r\n\r\na part")
        await talk.client_gone()
        gone.set()

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            async for _ in answer:
                begun.append(trio.current_time())

    begun = []
    outcome = (await on(serve, scrape, timeout=se.Timeout(attempt=0.5))).outcome
    assert (type(outcome.error), outcome.error.phase) == (se.AttemptTimeout, "body")
    assert 0.5 <= outcome.ran < 1.5


async def test_a_scraper_may_take_its_time_between_two_parts():
    """On our own wire too the limit is for what the site does: it does not go on while the scraper works."""

    async def serve(talk):
        await talk.request()
        await talk.send(CHUNKED + b"\r\n5\r\nfirst\r\n")
        await waited.wait()
        await talk.send(b"6\r\nsecond\r\n0\r\n\r\n")
        await talk.client_gone()

    async def scrape(task):
        found = []
        async with task.http.stream("GET", "/a") as answer:
            await trio.sleep(0.8)
            async for part in answer:
                found.append(part)
                await trio.sleep(0.8)
                waited.set()
        return found

    waited = trio.Event()
    outcome = (await on(serve, scrape, timeout=se.Timeout(attempt=0.5))).outcome
    assert isinstance(outcome, se.Success), getattr(outcome, "error", outcome)
    assert outcome.value == [b"first", b"second"]


async def test_the_task_s_time_is_over_all(autojump_clock, played):
    """An endless body of quick parts ends by `Timeout.task`."""
    outcome = await played(
        whole, lambda _: httpx.Response(200, stream=slowly(1, 10_000)), timeout=se.Timeout(attempt=10, task=60)
    )
    assert type(outcome.error) is se.TaskTimeout
    assert outcome.ran == 60


async def test_a_tuned_timeout_holds_from_the_next_part_on(autojump_clock, played):
    """A body that is under way is under the limit as it is now."""

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            async for _ in answer:
                engines[0].tune("A", timeout=se.Timeout(attempt=3))

    engines = []
    platform = se.Platform(
        "A",
        scrape,
        base_url="http://a.test",
        timeout=se.Timeout(attempt=10),
        retry=ONCE,
        transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=slowly(5, 3))),
    )
    engines.append(se.Engine([platform]))
    async with engines[0].stream([se.Event("e")]) as run:
        [outcome] = [outcome async for outcome in run]
    assert type(outcome.error) is se.AttemptTimeout
    assert outcome.ran == 8


# -- one at a time


@pytest.mark.parametrize("where", ["own", "foreign"])
async def test_a_second_request_inside_would_wait_for_itself(on_sites, played, where):
    """It is a `RuntimeError` that says what to do; the stream is as it was, and the next request goes."""

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            with pytest.raises(RuntimeError, match=r"leave `async with task.http.stream\(…\)` before the next one"):
                await task.http.get("/b")
            with pytest.raises(RuntimeError, match="one request in flight"):
                await parts_of(task)
            body = b"".join([part async for part in answer])
        return body, (await task.http.get("/c")).status_code

    if where == "own":
        seen = await on_sites(scrape, {"/a": Answer(200, LARGE)})
        assert [request.path for request in seen.asked] == ["/a", "/c"]
        assert seen.value == (LARGE, 200)
    else:
        assert (await played(scrape, lambda _: httpx.Response(200, content=LARGE))).value == (LARGE, 200)


async def one_child(ask):
    """Ask in a nursery's child."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)


async def a_grandchild(ask):
    """Ask in a child's child."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one_child, ask)


async def a_starting_one(ask):
    """Ask before `started`, for which the caller waits, whoever's nursery it is."""

    async def starting(*, task_status=trio.TASK_STATUS_IGNORED):
        await ask()
        task_status.started()

    async with trio.open_nursery() as nursery:
        await nursery.start(starting)


@pytest.mark.parametrize("within", [one_child, a_grandchild, a_starting_one])
async def test_a_child_that_the_block_waits_for_is_refused(autojump_clock, played, within):
    """The block would wait for it, and it for the block, until `Timeout.task`; it gets the error of the coroutine."""
    refused = []

    async def scrape(task):
        async def ask():
            for way in (task.http.get("/b"), parts_of(task)):
                with pytest.raises(RuntimeError, match=r"leave `async with task.http.stream\(…\)` before the next one"):
                    await way
                refused.append(trio.current_time())

        async with task.http.stream("GET", "/a") as answer:
            begun = trio.current_time()
            await within(ask)
            assert refused == [begun, begun]
            body = b"".join([part async for part in answer])
        return body, (await task.http.get("/c")).status_code

    assert (await played(scrape, lambda _: httpx.Response(200, content=LARGE))).value == (LARGE, 200)


async def test_a_child_of_an_earlier_nursery_waits_beside(autojump_clock, played):
    """Also where the block has one of its own: nobody in the block waits for that child."""
    order = []

    async def scrape(task):
        async def beside():
            await task.http.get("/b")
            order.append("answered")

        async with trio.open_nursery() as outer:
            async with task.http.stream("GET", "/a") as answer, trio.open_nursery() as inner:
                outer.start_soon(one_child, beside)
                inner.start_soon(trio.sleep, 1)
                assert [part async for part in answer]
                await trio.testing.wait_all_tasks_blocked()
            order.append("left")
        return order

    assert (await played(scrape, lambda _: httpx.Response(200, content=LARGE))).value == ["left", "answered"]


@pytest.mark.parametrize("where", ["own", "foreign"])
async def test_another_coroutine_of_the_task_waits_for_its_turn(on_sites, played, where):
    """Its request is sent when the block is left, not before."""
    order = []

    async def scrape(task):
        async def another():
            await task.http.get("/b")
            order.append("answered")

        async with trio.open_nursery() as nursery:
            async with task.http.stream("GET", "/a") as answer:
                nursery.start_soon(another)
                await trio.testing.wait_all_tasks_blocked()
                order.append(len([part async for part in answer]) > 0)
                await trio.testing.wait_all_tasks_blocked()
                order.append("left")
        return order

    if where == "own":
        assert (await on_sites(scrape, {"/a": Answer(200, LARGE)})).value == [True, "left", "answered"]
    else:
        assert (await played(scrape, lambda _: httpx.Response(200, content=LARGE))).value == [True, "left", "answered"]


async def test_who_waits_for_a_stream_may_give_up(autojump_clock, played):
    """A request that is cancelled before its turn is never sent, and the next in line goes."""
    paths = []

    def answer(request):
        paths.append(request.url.path)
        return httpx.Response(200, stream=slowly(8, 3))

    async def scrape(task):
        async def impatient():
            with trio.move_on_after(5):
                await task.http.get("/given-up")

        async with trio.open_nursery() as nursery:
            async with task.http.stream("GET", "/a") as streamed:
                nursery.start_soon(impatient)
                nursery.start_soon(task.http.get, "/b")
                assert [part async for part in streamed]

    assert isinstance(await played(scrape, answer), se.Success)
    assert paths == ["/a", "/b"]


# -- on any wire


@pytest.mark.parametrize("transport", [None, httpx.AsyncHTTPTransport])
async def test_a_large_body_is_not_held(transport):
    """While 200 MB pass, the process does not grow by a tenth of it."""
    piece = bytes(1_000_000)

    async def serve(talk):
        await talk.request()
        await talk.send(HEAD + b"Content-Length: 200000000\r\n\r\n")
        for _ in range(200):
            await talk.send(piece)

    async def scrape(task):
        size, most = 0, 0
        before = _resident()
        async with task.http.stream("GET", "/a", cap=float("inf")) as answer:
            async for part in answer:
                size += len(part)
                most = max(most, len(part))
        return size, most, _resident() - before

    made = transport() if transport else None
    try:
        outcome = (await on(serve, scrape, seconds=30, transport=made)).outcome
        size, most, grown = outcome.value
    finally:
        if made is not None:
            await made.aclose()
    assert size == 200_000_000
    assert most <= 2 * 65536
    assert grown < 20_000_000


def _resident():
    with open("/proc/self/statm") as file:  # noqa: PTH123 - a line of the kernel's
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


async def test_nothing_is_left_of_many_that_were_left(autojump_clock, played):
    """Each of a hundred streams that are left at the first part closes its body."""
    bodies = []

    def answer(request):
        bodies.append(Body([b"a part", 3600]))
        return httpx.Response(200, stream=bodies[-1])

    async def scrape(task):
        for _ in range(10):
            async with task.http.stream("GET", "/a") as streamed:
                async for part in streamed:
                    assert part == b"a part"
                    break

    outcomes = await played(scrape, answer, events=range(10))
    assert all(isinstance(outcome, se.Success) for outcome in outcomes)
    assert len(bodies) == 100
    assert all(body.closed for body in bodies)
    assert sys.exc_info() == (None, None, None)
