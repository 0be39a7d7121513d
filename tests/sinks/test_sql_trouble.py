"""Tables of databases in trouble: locks, lost connections, servers and processes that die; each row is there once."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pymysql
import pytest
import trio
from sqlalchemy.exc import DBAPIError

import scrapeengine as se
from scrapeengine.sinks import SqlTable
from scrapeengine.sinks.database import sink as sinks
from support.sinking import engine_of, put, read, success

PLAIN = SqlTable("plain", "k")


def plain(database, **options):
    """Open one table."""
    return se.sinks.sql(
        database.url, [PLAIN], {"k": lambda outcome: outcome.event.id, "v": "v"}, create=True, **options
    )


def cut(database):
    """End all connections to a database, from the server's side."""
    if database.kind == "postgresql":
        database.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    else:
        for (number,) in database.run(
            "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
        ):
            with contextlib.suppress(pymysql.err.OperationalError):  # it has ended by itself
                database.run(f"KILL {number}")


def is_waiting(database):
    """Say whether a transaction waits for a lock."""
    if database.kind == "postgresql":
        return database.run("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT%'")
    return database.run("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")[0][1] != "0"


async def opened(sink):
    """Wait until a sink has connected."""
    while sink._writer._dialect is None:
        await trio.sleep(0.005)


async def test_a_connection_that_was_cut_is_made_anew(served):
    """The batch that meets it says that it will pass, and is written the next time."""
    sink = plain(served)
    await put(sink, [success({"v": 1})])
    cut(served)
    with pytest.raises(se.SinkUnavailable):
        await sink.write([success({"v": 2})])
    assert engine_of(sink).pool.checkedout() == 0
    await sink.write([success({"v": 2})])
    await sink.close()
    assert [row["v"] for row in read(served, "plain")] == [2]


async def test_a_deadlock_passes(served):
    """Who is chosen to give way has written nothing, and writes it the next time."""
    sink = plain(served, timeout=10)
    await put(sink, [success({"v": 1}, id) for id in "ab"])
    async with trio.open_nursery() as nursery:
        with contextlib.closing(served.connect()) as other:
            cursor = other.cursor()
            if served.kind == "postgresql":
                cursor.execute("SET deadlock_timeout = '1min'")  # who has waited for as long looks, and gives way
            cursor.execute("CREATE TABLE much (n INTEGER)")
            cursor.execute("BEGIN")
            # Who has done less gives way in MariaDB.
            cursor.execute(f"INSERT INTO much VALUES {', '.join(f'({n})' for n in range(100))}")
            cursor.execute("UPDATE plain SET v = 5 WHERE k = 'b'")
            caught = []

            async def sink_writes():
                try:
                    await sink.write([success({"v": 2}, id) for id in "ab"])
                except se.SinkUnavailable as error:
                    caught.append(error)

            nursery.start_soon(sink_writes)
            while not is_waiting(served):
                await trio.sleep(0.005)
            await trio.to_thread.run_sync(cursor.execute, "UPDATE plain SET v = 5 WHERE k = 'a'")
            cursor.execute("COMMIT")
    assert "eadlock" in str(caught[0])
    assert {row["v"] for row in read(served, "plain")} == {5}
    await sink.write([success({"v": 2}, id) for id in "ab"])
    await sink.close()
    assert {row["v"] for row in read(served, "plain")} == {2}


async def test_a_file_that_is_locked_is_waited_for(tmp_path):
    """For as long as `timeout`; then the error says that it will pass."""
    path = tmp_path / "odds.db"
    sink = se.sinks.sql(f"sqlite:///{path}", [PLAIN], lambda outcome: [outcome.value], create=True, timeout=0.05)
    await put(sink, [success({"k": 1, "v": 1})])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(se.SinkUnavailable, match="locked"):
            await sink.write([success({"k": 1, "v": 2})])
        other.execute("COMMIT")
        await sink.write([success({"k": 1, "v": 2})])
        await sink.close()
        assert other.execute("SELECT v FROM plain").fetchall() == [(2,)]


async def test_a_server_does_not_go_on_with_what_nobody_waits_for(served):
    """A statement that takes longer than `timeout` is ended there, and holds no lock; it passes."""
    sink = plain(served, timeout=0.5)
    await put(sink, [success({"v": 1})])
    with contextlib.closing(served.connect()) as other:
        cursor = other.cursor()
        cursor.execute("BEGIN")
        cursor.execute("UPDATE plain SET v = 5")
        with trio.fail_after(10), pytest.raises(se.SinkUnavailable):
            await sink.write([success({"v": 2})])
        assert not is_waiting(served)
        cursor.execute("ROLLBACK")
    await sink.write([success({"v": 3})])
    await sink.close()
    assert [row["v"] for row in read(served, "plain")] == [3]


async def test_a_server_that_stands_still_is_not_waited_for_for_ever(of_postgresql):
    """It answers to nothing, and its connection is as good as new: after `timeout` and a second it is given up."""
    sink = plain(of_postgresql, timeout=0.2)
    await put(sink, [success({"v": 1})])
    with engine_of(sink).connect() as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    os.kill(pid, signal.SIGSTOP)
    try:
        with trio.fail_after(20), pytest.raises(se.SinkUnavailable):
            await sink.write([success({"v": 2})])
    finally:
        os.kill(pid, signal.SIGCONT)
    await sink.write([success({"v": 3})])
    await sink.close()
    assert [row["v"] for row in read(of_postgresql, "plain")] == [3]


async def test_what_passes_is_tried_again_whatever_the_policy(served):
    """A run whose connections are cut in its middle ends as any other one."""
    one_at_a_time = trio.Lock()

    async def scrape(task):
        if task.event.id in {"20", "40"}:
            await opened(sink)
            async with one_at_a_time:  # else one cuts the connection of the other, who cuts too
                await trio.to_thread.run_sync(cut, served)
        return {"v": int(task.event.id)}

    sink = plain(served, size=5, linger=0.01)
    engine = se.Engine([se.Platform("A", scrape, limit=3)])
    with trio.fail_after(30):
        report = await engine.run(map(se.Event, range(60)), sinks=[sink])
    assert report.ok()
    assert {row["k"]: row["v"] for row in read(served, "plain")} == {str(id): id for id in range(60)}


async def test_a_server_that_is_killed_is_waited_for(served):
    """Killed under load, and started again: all is there, and the run has not ended."""
    loop = trio.lowlevel.current_trio_token()
    again = trio.Event()

    def crash():
        served.server.kill()
        loop.run_sync_soon(again.set)
        served.server.start()

    async def scrape(task):
        if task.event.id == "50":
            await opened(sink)
            nursery.start_soon(trio.to_thread.run_sync, crash)
            await again.wait()
        return {"v": int(task.event.id)}

    sink = plain(served, size=5, linger=0.01)
    engine = se.Engine([se.Platform("A", scrape, limit=3)])
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            report = await engine.run(map(se.Event, range(200)), sinks=[sink])
    assert report.ok()
    assert {row["k"]: row["v"] for row in read(served, "plain")} == {str(id): id for id in range(200)}


async def test_a_database_that_refuses_at_first_is_an_error_at_once(served):
    """It is a wrong name, which does not pass."""
    url = served.server.url("nothing")
    sink = se.sinks.sql(url, [PLAIN], lambda outcome: [outcome.value])
    with pytest.raises(Exception, match="nothing") as caught:
        await put(sink, [success({"k": 1})])
    assert not isinstance(caught.value, se.SinkUnavailable)
    await sink.close()


@pytest.mark.parametrize("scheme", ["postgresql", "mariadb"])
@pytest.mark.parametrize("answers", [False, True])
async def test_a_server_that_is_not_there_yet_is_waited_for(scheme, answers):
    """It refuses the connection, or takes it and says nothing: either will pass, and takes no longer than `timeout`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not answers:
            server.close()
        url = f"{scheme}://me@127.0.0.1:{port}/odds"
        sink = se.sinks.sql(url, [PLAIN], lambda outcome: [outcome.value], timeout=1)
        with trio.fail_after(10), pytest.raises(se.SinkUnavailable):
            await put(sink, [success({"k": 1})])
        await sink.close()


async def test_tables_that_somebody_else_makes_are_taken(served, monkeypatch):
    """All of them: it goes on. Some: the others are being made. None: the error was about something else."""
    tables = [SqlTable("a", "k"), SqlTable("b", "k")]
    outcome = success([("a", {"k": 1}), ("b", {"k": 1})])

    def one_more(connection, made, referred):
        served.run("CREATE TABLE a (k BIGINT PRIMARY KEY)")
        raise DBAPIError("CREATE TABLE a", None, Exception("it is there already"))

    def all_of_them(connection, made, referred):
        served.run("CREATE TABLE b (k BIGINT PRIMARY KEY)")
        raise DBAPIError("CREATE TABLE b", None, Exception("it is there already"))

    def nothing(connection, made, referred):
        raise DBAPIError("CREATE TABLE a", None, Exception("it is not allowed"))

    sink = se.sinks.sql(served.url, tables, lambda outcome: outcome.value, create=True)
    for make, error in ((nothing, DBAPIError), (one_more, se.SinkUnavailable), (all_of_them, None)):
        monkeypatch.setattr(sinks, "make_tables", make)
        with pytest.raises(error) if error else contextlib.nullcontext():
            await put(sink, [outcome])
    await sink.close()
    assert len(read(served, "a")) == len(read(served, "b")) == 1


async def test_what_is_deleted_meanwhile_is_noticed(database):
    """A row that others refer to is gone when it is counted: nothing is written, and it passes."""
    tables = [SqlTable("prices", "k", {"event": "events"}), SqlTable("events", "name")]
    sink = se.sinks.sql(database.url, tables, lambda outcome: outcome.value, create=True)
    await put(sink, [success([("prices", {"k": 1, "event": "x"})])])
    connections = sink._writer._connections
    plain_run = connections.run

    def run(statements):
        connections.run = plain_run
        plain_run([each._replace(expected=each.expected and each.expected + 1) for each in statements])

    connections.run = run
    with pytest.raises(se.SinkUnavailable, match="deleted"):
        await sink.write([success([("prices", {"k": 2, "event": "y"})])])
    assert len(read(database, "events")) == 1
    await sink.write([success([("prices", {"k": 2, "event": "y"})])])
    await sink.close()
    assert len(read(database, "prices")) == 2


async def test_a_run_that_is_left_leaves_no_half_transaction(database):
    """Cancelled in the middle of a batch: it is there whole, and no connection is in use."""
    sink = plain(database)
    await put(sink, [success({"v": 0})])
    engine = engine_of(sink)
    begun = trio.Event()
    token = trio.lowlevel.current_trio_token()
    goes_on = threading.Event()
    plain_run = sink._writer._connections.run

    def run(statements):
        token.run_sync_soon(begun.set)
        assert goes_on.wait(10)
        plain_run(statements)

    sink._writer._connections.run = run
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sink.write, [success({"v": 1}, id) for id in range(5)])
        await begun.wait()
        nursery.cancel_scope.cancel()
        goes_on.set()
    assert engine.pool.checkedout() == 0
    await sink.close()
    assert [row["v"] for row in read(database, "plain")] == [1] * 5


def program(name, *arguments):
    """Run a program of this folder."""
    tests = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name(name), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")])},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_row_is_there_once_wherever_a_process_dies(tmp_path):
    """Before or after one of the statements, commits and acknowledgements; whole, whenever one looks."""
    first = int.from_bytes(os.urandom(1), "big") % 40 + 1
    print("first", first)
    folder = tmp_path / "stores"
    folder.mkdir()
    assert int(program("dying_sql.py", folder, f"sqlite:///{tmp_path}/", first, 1, 1)) == 1


@pytest.mark.slow
def test_each_row_is_there_once_wherever_a_process_dies_at_all(database, tmp_path):
    """As above, at each of them, in each database."""
    url = f"sqlite:///{tmp_path}/" if database.kind == "sqlite" else database.url
    folder = tmp_path / "stores"
    folder.mkdir()
    assert int(program("dying_sql.py", folder, url, 1, 1, 999)) >= 40


@pytest.mark.slow
def test_each_row_is_there_once_however_often_processes_are_killed(database, tmp_path):
    """Three at a time, thirty of them, at random instants."""
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    program("killed_sql.py", tmp_path, database.url, 30, seed)
    assert sorted(row["job"] for row in read(database, "numbers")) == list(range(1400))
    assert len(read(database, "halves")) == 2800
