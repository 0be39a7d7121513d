"""Which headers go where: what was meant for a platform does not go to strangers."""

import pytest

import scrapeengine as se
from scrapeengine.http.wire.decoding import ACCEPT_ENCODING

POLICY = {
    "Authorization": "Bearer t0ps3cret",
    "Cookie": "a=1",
    "X-Key": "k",
    "Referer": "http://a.test/",
    "User-Agent": "tests",
    "ACCEPT": "text/x",
    "Accept-Language": "de",
}
HARMLESS = {"user-agent": "tests", "accept": "text/x", "accept-language": "de", "accept-encoding": ACCEPT_ENCODING}


def of_ours(headers):
    """Leave out what every request has."""
    return {name: text for name, text in headers.items() if name not in {"host", "connection"}}


async def test_the_headers_that_are_sent_unasked(on_sites):
    """They name the library, and only the encodings that it can read."""

    async def scrape(task):
        await task.http.get("/")

    expected = {"accept": "*/*", "accept-encoding": ACCEPT_ENCODING, "user-agent": "scrapeengine"}
    assert of_ours((await on_sites(scrape)).asked[0].headers) == expected


async def test_the_platform_s_headers_go_to_its_origin_only(on_sites):
    """To another origin go those that say nothing of the user; the ports make two origins of one host."""

    async def scrape(task):
        await task.http.get("/")
        await task.http.get(task.event.data["here"] + "/absolute")
        await task.http.get(task.event.data["there"] + "/")

    seen = await on_sites(scrape, headers=POLICY)
    whole = {"accept-encoding": ACCEPT_ENCODING} | {name.lower(): text for name, text in POLICY.items()}
    assert [of_ours(request.headers) for request in seen.asked] == [whole, whole]
    assert [of_ours(request.headers) for request in seen.abroad] == [HARMLESS]


async def test_the_headers_of_a_request_go_wherever_it_goes(on_sites):
    """The scraper knows whom it asks; its headers stand before the platform's, however they are written."""

    async def scrape(task):
        mine = {"x-key": "mine", "USER-AGENT": "me", "Authorization": "Basic Zm9v"}
        await task.http.get("/", headers=mine)
        await task.http.get(task.event.data["there"], headers=mine)

    seen = await on_sites(scrape, headers=POLICY)
    for request in (*seen.asked, *seen.abroad):
        headers = request.headers
        assert (headers["x-key"], headers["user-agent"], headers["authorization"]) == ("mine", "me", "Basic Zm9v")
    assert "cookie" not in seen.abroad[0].headers


async def test_headers_that_are_tuned_go_with_the_next_request(autojump_clock, play):
    """A request is built by the policy as it is then."""

    async def scrape(task):
        await task.http.get("/")
        task.event.data.tune("A", headers={"X-Key": "new"})
        await task.http.get("/")

    played = await play(scrape, 200, headers={"X-Key": "old"})
    assert [request.headers["x-key"] for request in played.requests] == ["old", "new"]


@pytest.mark.parametrize(("url", "known"), [("http://a.test/x", True), ("http://b.test/", False), ("next", True)])
async def test_without_a_base_url_the_origin_is_the_event_s(autojump_clock, play, url, known):
    """A platform that serves URLs sends its headers to the host of the event's."""

    async def scrape(task):
        await task.http.get(url)

    event = se.Event("e", url="http://a.test/", platforms=("A",))
    played = await play(scrape, 200, events=[event], base_url=None, headers={"X-Key": "k"})
    assert ("x-key" in played.requests[0].headers) is known


async def test_another_scheme_is_another_origin(autojump_clock, play):
    """What is meant for https does not go in plain text to the same host."""

    async def scrape(task):
        await task.http.get("http://a.test/x")

    played = await play(scrape, 200, base_url="https://a.test", headers={"Authorization": "Bearer t0ps3cret"})
    assert "authorization" not in played.requests[0].headers


async def test_an_international_name_is_its_own_origin(autojump_clock, play):
    """The platform's headers go to its own `base_url`, whatever letters that has."""

    async def scrape(task):
        await task.http.get("/x")

    played = await play(scrape, 200, base_url="http://straße.test", headers={"X-Key": "k"})
    assert played.requests[0].headers["x-key"] == "k"


@pytest.mark.parametrize(
    ("userinfo", "token"),
    [("anna:hunter2", "YW5uYTpodW50ZXIy"), ("anna", "YW5uYTo="), (":x", "Ong="), ("%C3%A4:%3A%2F", "w6Q6Oi8=")],
)
async def test_user_and_password_of_a_url_are_sent_as_basic_authorization(autojump_clock, play, userinfo, token):
    """Decoded, as UTF-8, either of them alone too; whether they are in `base_url`, the event's URL or the request's."""

    async def scrape(task):
        await task.http.get(task.event.data or "/x")

    url = f"http://{userinfo}@a.test"
    of_base = await play(scrape, 200, base_url=url, events=[se.Event("e")])
    of_event = await play(scrape, 200, base_url=None, events=[se.Event("e", url=url, platforms=("A",))])
    of_request = await play(scrape, 200, base_url="http://b.test", events=[se.Event("e", data=url + "/x")])
    for played in (of_base, of_event, of_request):
        assert [request.headers.get("authorization") for request in played.requests] == [f"Basic {token}"]


async def test_user_and_password_of_a_url_stand_between_the_platform_s_headers_and_the_request_s(autojump_clock, play):
    """They are of this URL, and the scraper's own word is of this request."""

    async def scrape(task):
        await task.http.get("/")
        await task.http.get("/", headers={"AUTHORIZATION": "Bearer mine"})

    played = await play(
        scrape, 200, base_url="http://anna:hunter2@a.test", headers={"Authorization": "Bearer t0ps3cret"}
    )
    sent = [request.headers.get_list("authorization") for request in played.requests]
    assert sent == [["Basic YW5uYTpodW50ZXIy"], ["Bearer mine"]]


async def test_user_and_password_of_base_url_go_to_no_other_origin(autojump_clock, play):
    """Another host, port or scheme is asked without them."""
    urls = ["http://b.test/", "http://a.test:81/", "https://a.test/"]

    async def scrape(task):
        for url in urls:
            await task.http.get(url)

    played = await play(scrape, 200, base_url="http://anna:hunter2@a.test")
    assert [str(request.url) for request in played.requests] == urls
    assert not [request for request in played.requests if "authorization" in request.headers]
