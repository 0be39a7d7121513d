"""What is imported, and when: a plain run needs no store, and imports nothing while it goes on."""

import subprocess
import sys

import scrapeengine as se

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


LACKING = """if True:
    import sys
    sys.modules["prometheus_client"] = sys.modules["opentelemetry"] = None
    import scrapeengine as se
    assert not {"Prometheus", "serve_metrics", "Traces", "trace_context"} & set(dir(se.observe))
    for name in dir(se.observe):
        getattr(se.observe, name)
    try:
        se.observe.Traces
    except ImportError as error:
        print(error)
"""


def test_what_lacks_an_extra_is_not_listed_and_says_what_to_install():
    """So that who looks at all that is listed, as `help` does, finds it."""
    assert {"Prometheus", "serve_metrics", "Traces", "trace_context", "Recording"} <= set(dir(se.observe))
    result = subprocess.run([sys.executable, "-c", LACKING], capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == "se.observe.Traces needs more: pip install 'scrapeengine[otel]'\n", result.stderr
