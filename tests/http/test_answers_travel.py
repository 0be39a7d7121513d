"""Answers, and errors that hold one, are pickled and copied."""

import copy
import pickle

import httpx
import pytest
import trio

import scrapeengine as se
from support.runs import ended
from support.wire import answering, serving

WAYS = [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))]
NAMES = ["copy", "deepcopy", "pickle"]
ANSWER = b"HTTP/1.1 %b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 6\r\n\r\nh\xc3\xa9llo"


async def outcome_of(status, headers, look):
    """Ask a site that answers with a status; return the outcome of the task."""

    async def scrape(task):
        try:
            answer = await task.http.post("/x?q=1", headers=headers, json={"password": "hidden"})
        except se.StatusError as error:
            look(error.response)
            raise
        look(answer)
        return answer

    with trio.fail_after(5):
        async with serving(answering(ANSWER % status)) as web:
            base = f"http://user:hidden@127.0.0.1:{web.port}"
            [outcome] = await ended([se.Platform("A", scrape, base_url=base)], [se.Event(1)])
        return outcome


def said(answer):
    """Return what a site has said."""
    return (
        answer.status_code,
        answer.headers.multi_items(),
        answer.content,
        answer.text,
        answer.url,
        answer.elapsed,
        answer.num_bytes_downloaded,
        [(cookie.name, cookie.value) for cookie in answer.cookies.jar],
    )


LOOKS = {
    "unseen": lambda _: None,
    "request": lambda answer: answer.request,
    "cookies": lambda answer: answer.cookies,
    "text": lambda answer: (answer.text, answer.headers),
}


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
@pytest.mark.parametrize("look", LOOKS)
async def test_an_answer_says_the_same(way, look):
    """Whatever of it was looked at before; with its request, as httpx has it."""
    answer = (await outcome_of(b"200 OK", {"X-Api-Key": "hidden"}, LOOKS[look])).value
    again = way(answer)
    assert type(again) is type(answer)
    assert said(again) == said(answer)
    assert again.request.headers == answer.request.headers
    assert again.request.content == answer.request.content
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        way((await outcome_of(b"404 Not Found", {}, LOOKS[look])).error.response).raise_for_status()


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
@pytest.mark.parametrize("look", LOOKS)
async def test_an_error_s_answer_says_the_same_and_its_request_no_secret(way, look):
    """What the site has said is all there; of the request neither credentials nor body; the original has them."""
    headers = {"Authorization": "hidden", "Cookie": "id=hidden", "X-Api-Key": "hidden", "Accept": "text/plain"}
    error = (await outcome_of(b"403 Forbidden", headers, LOOKS[look])).error
    again = way(error)
    assert said(again.response) == said(error.response)
    assert str(again) == str(error)
    assert again.response.request.headers["Accept"] == "text/plain"
    assert again.response.request.method == "POST"
    assert b"hidden" not in pickle.dumps(again)
    assert b"hidden" not in pickle.dumps(error)
    assert error.response.request.headers["X-Api-Key"] == "hidden"
    assert b"hidden" in error.response.request.content
