"""The report in a real browser: it draws all, loads nothing, runs nothing of a site's, and obeys the keyboard."""

import functools
import re

import httpx
import pytest
import trio
import trio.testing

import scrapeengine as se
from support.browser import open_browser

HOSTILE = (
    "</script><script>window.ran = 1</script><img src=x onerror='window.ran = 2'> \u2028 ${window.ran = 3} javascript:"
)


async def report_of(events, recording):
    """Make a run whose site, errors, ids and platforms say what no page may run."""

    async def answer(request):
        await trio.sleep(0.5)
        if request.url.path.endswith("7"):
            return httpx.Response(429, headers={"retry-after": "20"})
        return httpx.Response(503 if request.url.path.endswith("3") else 200, content=b"x")

    async def scrape(task):
        if task.event.data == "hostile":
            raise ValueError(HOSTILE)
        await task.http.get(f"http://{task.platform[0]}.test/{task.event.id}")

    platforms = [
        se.Platform(name, scrape, limit=3, rate=rate, retry=se.Retry(attempts=2))
        for name, rate in (("a <b>bold</b> name", se.Rate(2)), ("b", None))
    ]
    engine = se.Engine(platforms, connector=httpx.MockTransport(answer), random=lambda: 0.5)
    return await engine.run(
        [se.Event(HOSTILE, data="hostile"), *map(se.Event, range(events))],
        instruments=[se.observe.Recording()] if recording else [],
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Write the report of a run that took no time."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(report_of, 60, True, clock=clock).write_html(path)
    return path


@pytest.mark.parametrize("dark", [False, True])
async def test_it_draws_everything_and_runs_nothing_else(dark, file, tmp_path):
    """No error in the console, no request but for the file, in light and in dark; texts of a site are texts."""
    async with open_browser() as browser:
        page = await browser.page(file.as_uri(), dark=dark)
        headings = await page.evaluate("[...document.querySelectorAll('h2')].map(each => each.textContent)")
        assert headings == [
            *("What held it back", "Platforms", "Timeline", "Latencies", "Requests over time", "Failures", "Closings")
        ]
        assert await page.evaluate("document.querySelectorAll('section[hidden]').length") == 0
        text = await page.evaluate("document.body.innerText")
        assert re.search("a <b>bold</b> name: .* held it back", text)
        assert HOSTILE.split("\u2028", maxsplit=1)[0].strip() in text
        assert await page.evaluate("document.querySelectorAll('b b, main script, main img, td b').length") == 0
        assert await page.evaluate("window.ran") is None
        assert await page.evaluate("document.querySelectorAll('.chart svg').length") == 4
        ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")
        await page.screenshot(tmp_path / "shot.png")
        assert (tmp_path / "shot.png").stat().st_size > 30_000
        assert page.errors == []
        assert page.requests == [file.as_uri()]


async def test_the_keyboard_and_the_mouse_move_the_timeline(file):
    """It can be reached by Tab, shows that it is, zooms, moves, goes from task to task, and comes back by Escape."""
    async with open_browser() as browser:
        page = await browser.page(file.as_uri())

        async def view():
            return (await page.evaluate("scrapeengine.timeline()"))["view"]

        whole = await view()
        for _ in range(20):
            await page.press("Tab")
            if await page.evaluate("document.activeElement.tagName") == "CANVAS":
                break
        assert await page.evaluate("document.activeElement.matches('canvas:focus-visible')")
        assert "solid" in await page.evaluate("getComputedStyle(document.activeElement).outline")
        await page.press("+", "+")
        zoomed = await view()
        assert zoomed[1] - zoomed[0] == pytest.approx((whole[1] - whole[0]) / 2)
        await page.press("ArrowRight")
        right = await view()
        assert right[0] > zoomed[0]
        await page.press("ArrowLeft")
        assert await view() == pytest.approx(zoomed)
        await page.press("-", "-")
        assert await view() == pytest.approx(whole)
        told = "document.querySelector('.told').textContent"
        await page.press("ArrowDown")
        first = await page.evaluate(told)
        assert "waited" in first
        await page.press("ArrowDown")
        assert await page.evaluate(told) != first
        await page.press("ArrowUp")
        assert await page.evaluate(told) == first
        await page.press("Escape")
        assert (await page.evaluate(told), await view()) == ("", whole)
        at = await page.evaluate(
            "(({x, y}) => [x + 400, y + 20])(document.querySelector('canvas').getBoundingClientRect())"
        )
        where = {"x": at[0], "y": at[1]}
        mouse = functools.partial(page.call, "Input.dispatchMouseEvent")
        await mouse(type="mouseWheel", deltaX=0, deltaY=-100, **where)
        by_wheel = await view()
        assert by_wheel[1] - by_wheel[0] == pytest.approx((whole[1] - whole[0]) * 0.8)
        await page.call(
            "Input.dispatchMouseEvent", type="mousePressed", button="left", buttons=1, clickCount=1, **where
        )
        moved = where | {"x": at[0] - 60}
        await page.call("Input.dispatchMouseEvent", type="mouseMoved", button="left", buttons=1, **moved)
        await page.call("Input.dispatchMouseEvent", type="mouseReleased", button="left", clickCount=1, **moved)
        assert (await view())[0] > by_wheel[0]
        await page.evaluate("[...document.querySelectorAll('button')].find(each => each.textContent === 'All').click()")
        assert await view() == whole
        select = "document.querySelector('#spread')"
        await page.evaluate(f"{select}.value = 'queued', {select}.dispatchEvent(new Event('change'))")
        assert page.errors == []


async def test_without_a_recording_it_says_how_to_have_one(tmp_path, autojump_clock):
    """In words; what is known is there all the same."""
    report = await report_of(3, recording=False)
    report.write_html(tmp_path / "report.html")
    clock = trio.lowlevel.current_clock()
    clock.autojump_threshold = float("inf")  # a browser takes its time
    clock.rate = 1.0
    async with open_browser() as browser:
        page = await browser.page((tmp_path / "report.html").as_uri())
        assert "instruments=[se.observe.Recording()]" in await page.evaluate(
            "document.querySelector('.hint').innerText"
        )
        shown = await page.evaluate("[...document.querySelectorAll('section')].filter(e => !e.hidden).length")
        assert shown == 3  # the run, its platforms, its failures
        assert page.errors == []


async def test_a_live_page_draws_again_and_again(file):
    """Zoom, focus and what a program has put into the rows stay; bars stay where a snapshot has none."""
    async with open_browser() as browser:
        page = await browser.page(file.as_uri())
        await page.evaluate(
            """(() => {
                const data = JSON.parse(document.getElementById('data').textContent);
                data.live = true;
                data.platforms.forEach(each => {
                    each.key = each.name;
                    each.now = {running: 1, limit: 3, parked: 0, waiting: 2, opens_in: 0.5, held_by: 'rate'};
                });
                scrapeengine.controls = platform => {
                    const button = document.createElement('button');
                    button.textContent = 'pause';
                    return button;
                };
                scrapeengine.draw(data);
                [...document.querySelectorAll('td button')].at(-1).focus();
                window.again = () => {
                    data.elapsed += 1;
                    data.timeline = null;
                    data.platforms[0].now.running = 2;
                    scrapeengine.draw(data);
                };
                document.querySelectorAll('.bar button')[0].click();
            })()"""
        )
        before = await page.evaluate("scrapeengine.timeline()")
        await page.evaluate("document.querySelectorAll('td button')[1].focus(); again(); again()")
        after = await page.evaluate("scrapeengine.timeline()")
        assert after["view"] == before["view"]
        assert await page.evaluate("document.activeElement.textContent") == "pause"
        assert await page.evaluate("document.querySelectorAll('td button').length") == 2
        assert "2/3" in await page.evaluate("document.querySelector('tbody tr').innerText")
        assert page.errors == []
