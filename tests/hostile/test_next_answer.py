"""After an answer with faults in it, read or refused, the next request on that host gets its own answer."""

import math
import random

import httpx
import pytest
import trio.testing

import scrapeengine as se
from scrapeengine.http.transport.parser import Parser
from support.runs import ONCE, ended
from support.wire import serving
from unit.test_mutated_answers import mutated


def heard(answer):
    """Say at which byte an answer is whole, or refused; None if the end of the connection has to say that it is."""
    parser = Parser()
    parser.begin("GET", math.inf)
    for at in range(len(answer)):
        try:
            parser.feed(answer[at : at + 1])
        except httpx.RemoteProtocolError:
            return at + 1, "refused"
        if parser.answer.done:
            return at + 1, "whole"
    return None, "open"


def pieces(answer, choose):
    """Cut an answer in two: where it is not whole yet, or anywhere if it is refused. The second piece comes later."""
    end, how = heard(answer)
    at = choose.randrange(end if how == "whole" else len(answer) + 1)
    return answer[:at], answer[at:], how != "open"


async def serve(talk):
    """Answer `/faulty/SEED` with faults, and all else with what was asked for; hang up where an answer has no end."""
    while request := await talk.request():
        target = request.split(b" ", 2)[1]
        if target.startswith(b"/faulty/"):
            seed = int(target.rpartition(b"/")[2])
            first, second, ends = pieces(mutated(random.Random(seed)), random.Random(seed))
            await talk.send(first)
            await trio.testing.wait_all_tasks_blocked()
            await talk.send(second)
            if not ends:
                return
        else:
            await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))


async def ask_twice(task):
    """Ask for an answer with faults, and then for one without; return how the first one went."""
    try:
        answer = await task.http.get(f"/faulty/{task.event.id}", check=False)
    except se.RequestError as error:
        went = type(error).__name__
    else:
        went = "read" if answer.status_code < 300 else "status"
    own = await task.http.get(f"/own/{task.event.id}")
    assert own.content == f"/own/{task.event.id}".encode()
    return went


async def went(events):
    """Ask a site on one connection after the other, and say how the answers with faults went."""
    with trio.fail_after(120):
        async with serving(serve) as web:
            timeout = se.Timeout(attempt=5)
            platform = se.Platform("A", ask_twice, base_url=web.url, limit=1, retry=ONCE, timeout=timeout)
            outcomes = await ended([platform], [se.Event(each) for each in events])
            assert web.connections < len(events)
    for outcome in outcomes:
        assert isinstance(outcome, se.Success), (outcome.event.id, outcome.error)
    return [outcome.value for outcome in outcomes]


async def test_the_next_request_gets_its_own_answer():
    """On the same connection where it is kept, on another one where it is not: never what was left before it."""
    kinds = await went(range(400))
    assert {"read", "ProtocolError"} <= set(kinds)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1_000, 11_000, 2_000))
async def test_the_next_request_gets_its_own_answer_10_000_times(start):
    """The same, for many more."""
    assert len(await went(range(start, start + 2_000))) == 2_000
