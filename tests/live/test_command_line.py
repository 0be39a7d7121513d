"""`python -m scrapeengine`: what it prints, and how it ends."""

import signal
import subprocess
import sys

import pytest

import scrapeengine as se
from live.looking import Looker, following
from scrapeengine.cli import main

PROGRAM = [sys.executable, "-m", "scrapeengine"]


async def nothing(task):
    """Do nothing."""


class Page:
    """An address."""

    def __init__(self, url):
        self.url = url


async def test_a_store_that_others_serve_is_shown_until_ctrl_c(tmp_path):
    """The address is on stdout, alone; what is done there is in the store."""
    path = f"{tmp_path}/jobs.db"
    async with se.open_store(f"sqlite:{path}") as store:
        await se.Engine([se.Platform("p", nothing)]).enqueue(store, [se.Event(1)])
        command = [*PROGRAM, "dashboard", path]
        with subprocess.Popen(  # noqa: ASYNC220 - it only takes a moment
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            looker = Looker(Page(process.stdout.readline().strip()))
            async with following(looker) as frame:
                assert (await frame())["queue"]["platforms"][0]["key"] == "p"
            assert (await looker.do("store_pause", platform="p")).status == 200
            assert (await store.stats())["p"].paused
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert err == "Whoever has this address can do all that the page can. Ctrl-C ends it.\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["dashboard", "no/such.db"], "there is no file 'no/such.db', or nothing in it; give the path of a store"),
        (["dashboard", "sqlite:no/such.db"], "there is no file 'no/such.db'"),
        (["dashboard", "sqlite:///no/such.db"], "there is no file 'no/such.db'"),
        (["dashboard", "memory:"], r"write Dashboard(store=store) there"),
        (["dashboard", "redis://host/0"], "redis"),
        (["dashboard", "{text}"], "is the database of another program"),
        (["dashboard", "{store}", "--port", "70000"], "at most 65535"),
    ],
)
def test_what_cannot_be_shown_is_one_line(arguments, why, tmp_path, capsys):
    """And an exit code of 1; no file is made."""
    (tmp_path / "text").write_text("no database at all " * 100)
    subprocess.run(
        [sys.executable, "-c", f"""if True:
            import trio, scrapeengine as se
            async def main():
                async with se.open_store("sqlite:{tmp_path}/store.db"):
                    pass
            trio.run(main)
        """],
        check=True,
        timeout=60,
    )  # fmt: skip
    files = {"text": tmp_path / "text", "store": tmp_path / "store.db"}
    assert main([each.format(**files) for each in arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("scrapeengine dashboard: ")
    assert why in err or "text" in arguments[1]
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["dance"], ["dashboard"], ["dashboard", "a", "--port", "x"]])
def test_what_is_written_wrongly_is_argparses(arguments, capsys):
    """With the usage."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m scrapeengine" in capsys.readouterr().err


@pytest.mark.parametrize(("missing", "extra"), [("h11", "dashboard"), ("apsw", "sqlite")])
def test_without_an_extra_it_says_what_to_install(missing, extra, tmp_path):
    """In one line, and no traceback."""
    (tmp_path / "jobs.db").write_bytes(b"something")
    program = (
        f"import sys; sys.modules['{missing}'] = None; import scrapeengine.cli as cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "dashboard", f"{tmp_path}/jobs.db"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith(f"pip install 'scrapeengine[{extra}]'\n")
    assert len(result.stderr.splitlines()) == 1
