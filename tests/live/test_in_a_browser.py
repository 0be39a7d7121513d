"""The live page in a real browser: a button is pressed there, and the site is asked no more."""

import json
from urllib.parse import urlsplit

import trio

import scrapeengine as se
from scrapeengine.testing import Answer, Site
from support.browser import open_browser

HOSTILE = "</script><img src=x onerror=hurt()><script>hurt()</script>"


async def reads(page, expression, wanted=True):  # noqa: FBT002 - most are asked whether something is so
    """Wait until an expression is what it should be."""
    with trio.fail_after(20):
        while (found := await page.evaluate(expression)) != wanted:
            await trio.sleep(0.05)
    return found


def of(group, text):
    """Return an expression for the button of a group that shows a text, as somebody sees it."""
    found = f"[...document.querySelectorAll({json.dumps(f'[aria-label={json.dumps(group)}] button')})]"
    return f"{found}.find((each) => each.textContent === {json.dumps(text)})"


async def press(page, group, text):
    """Press a button once it is there."""
    await reads(page, f"{of(group, text)} !== undefined")
    await page.evaluate(f"{of(group, text)}.click()")


async def test_a_platform_is_paused_on_the_page_and_the_site_is_asked_no_more(tmp_path):
    """By the run's own pause, and by the store's; hostile texts stay texts, and no error is on the console."""

    async def answer(request):
        assert request
        return Answer(body=b"ok")

    async def scrape(task):
        await task.http.get(f"/{task.event.id}")
        if int(task.event.id) % 50 == 0:
            raise ValueError(HOSTILE)

    async with (
        Site.open(answer) as site,
        open_browser() as browser,
        se.open_store(f"sqlite:{tmp_path}/jobs.db") as store,
    ):
        engine = se.Engine([se.Platform("shop", scrape, base_url=site.url, limit=2, rate=se.Rate(200))])
        await engine.enqueue(store, [se.Event(number) for number in range(1, 9000)])

        async def still():
            """Wait until the site is asked no more, which was asked 200 times a second; say whether that lasts."""
            asked = -1
            with trio.fail_after(20):
                while asked != site.ledger.requests:
                    asked = site.ledger.requests
                    await trio.sleep(0.5)
            await trio.sleep(0.5)
            return site.ledger.requests == asked

        async def goes_on():
            asked = site.ledger.requests
            with trio.fail_after(20):
                while site.ledger.requests < asked + 5:
                    await trio.sleep(0.01)

        async with engine.serve(store, instruments=[se.observe.Recording()]) as run, trio.open_nursery() as nursery:

            async def drain():
                async for _ in run:
                    pass

            nursery.start_soon(drain)
            async with se.observe.Dashboard(run, engine, store) as live:
                page = await browser.page(live.url)
                await goes_on()
                await press(page, "shop", "Pause")
                await reads(page, "document.querySelector('.said').textContent", "shop is paused")
                assert await still()
                await press(page, "shop", "Resume")
                await goes_on()
                await reads(page, f"{of('The store', 'Pause')} !== undefined")
                await page.evaluate(f"{of('The store', 'Pause')}.click()")
                await reads(page, "document.querySelector('.said').textContent.includes('paused in the store')")
                assert await still()
                await reads(page, "document.querySelector('#controls pre').textContent.includes('paused in the store')")
                await page.call("Page.reload")  # the token is this tab's, and not in the address any more
                await reads(page, f"{of('The store', 'Resume')} !== undefined")
                assert await page.evaluate("location.hash") == ""
                await page.evaluate(f"{of('The store', 'Resume')}.click()")
                await goes_on()
                await reads(page, f"document.body.textContent.includes({json.dumps(HOSTILE)})")
                assert await page.evaluate("document.querySelectorAll('img, script:not([src])').length") == 0
                await page.screenshot(tmp_path / "page.png")
                assert page.errors == []
                assert {urlsplit(each).netloc for each in page.requests} == {urlsplit(live.url).netloc}
                await press(page, "shop", "Pause")
                await page.evaluate("document.querySelector('.top button').click()")
                await page.evaluate("document.querySelector('.top button').click()")
                await run.wait()
            assert run.report.stopped == "it was stopped on the live page"
            await reads(page, "document.querySelector('.state').textContent.startsWith('not connected')")


async def test_without_its_token_the_page_says_so():
    """And shows nothing of the run."""

    async def scrape(task):
        """Do nothing."""

    engine = se.Engine([se.Platform("shop", scrape)])
    async with (
        engine.stream([se.Event(1)]) as run,
        se.observe.Dashboard(run, engine) as live,
        open_browser() as browser,
    ):
        page = await browser.page(live.url.partition("#")[0] + "#" + "0" * 32)
        await reads(page, "document.querySelector('.state').textContent.includes('token')")
        assert "shop" not in await page.evaluate("document.body.textContent")
