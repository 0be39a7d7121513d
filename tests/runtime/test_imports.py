"""What is imported, and when: a plain run needs no store, and imports nothing while it goes on."""

import subprocess
import sys

PROGRAM = """if True:
    import re
    import sys
    import trio
    import scrapeengine as se
    from scrapeengine.testing.site import Answer, Site

    async def answer(request):
        return Answer(body=b"ok")

    async def scrape(task):
        response = await task.http.get("/a", conditional=True)
        task.log.info("has it")
        return response.headers["content-length"]

    async def main():
        before = set(sys.modules)
        async with Site.open(answer) as site:
            engine = se.Engine([se.Platform("a", scrape, base_url=site.url, cookies=True, robots=True)])
            assert (await engine.run([se.Event("x")])).outcomes.succeeded == 1
        kept_out = "stores|apsw|pyarrow|recording|prometheus|opentelemetry|observe.live|engine.cli"
        unwanted = [name for name in sys.modules if re.search(kept_out, name)]
        print(sorted(set(sys.modules) - before), unwanted)

    trio.run(main)
"""


def test_a_plain_run_imports_no_store_and_nothing_while_it_goes_on():
    """An import holds up the loop, and with it all tasks."""
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (0, "[] []\n"), result.stderr
