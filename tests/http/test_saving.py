"""A body is saved under every name that the file system takes, whole or not at all."""

# Names are of any bytes here, and a `Path` holds texts only.
# ruff: noqa: PTH104, PTH106, PTH116, PTH118, PTH123

import errno
import os
import pathlib
import shutil
import stat
import tempfile

import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.http.client import files
from support.cancelling import cancelled_at
from support.runs import open_files

BODY = b"the whole body" * 1000


class Parts(httpx.AsyncByteStream):
    """A body in parts, between which things happen."""

    def __init__(self, meanwhile=None):
        self.begun = False
        self.meanwhile = meanwhile

    async def __aiter__(self):
        """Send it."""
        self.begun = True
        yield BODY[:100]
        if self.meanwhile is not None:
            self.meanwhile()
        await trio.lowlevel.checkpoint()
        yield BODY[100:]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path_factory, monkeypatch):
    """Be in a folder that no path leads to: what is written in a wrong place is not left in the project."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


def saved(path, meanwhile=None):
    """Save a body; return what `save` returned, or raise what it raised. Whether the body was begun is on the error."""
    body = Parts(meanwhile)

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            return await answer.save(path)

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=body))
    [outcome] = se.collect([se.Platform("A", scrape, base_url="http://a.test", transport=transport)], [se.Event(1)])
    if isinstance(outcome, se.Failure):
        outcome.error.begun = body.begun
        raise outcome.error
    return outcome.value


def there(folder):
    """Return what is in a folder: contents by name, as bytes."""
    with os.scandir(os.fsencode(folder)) as entries:
        return {entry.name: pathlib.Path(os.fsdecode(entry.path)).read_bytes() for entry in entries}


NAMES = {
    "255 letters": b"n" * 255,
    "242 letters": b"n" * 242,  # with what was put behind it once, it would be one byte too long
    "255 bytes of two each": "é".encode() * 127 + b"n",
    "255 bytes of three each": "\u20ac".encode() * 85,
    "255 bytes of four each": "\U0001f600".encode() * 63 + b"...",
    "255 bytes that are no text": b"\xff" * 255,
    "no text": b"\xff\xfe\x80",
    "half a character": "é".encode()[:1],
    "one letter": b"n",
    "a dash": b"-",
    "an option": b"-rf",
    "hidden": b".n",
    "three dots": b"...",
    "dots in front": b"..n",
    "of spaces": b"  ",
    "with line breaks": b"a\nb\r",
    "with a star": b"*",
    "with a backslash": b"a\\b",
    "like a part": b".01234567.part",
    "a home": b"~",
    "a scheme": b"file:",
    "a format": b"%s{}",
}


class OfBytes:
    """A path that is bytes."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        """Return it."""
        return self.path


KINDS = {
    "bytes": lambda path: path,
    "text": os.fsdecode,
    "path": lambda path: pathlib.Path(os.fsdecode(path)),
    "trio's path": lambda path: trio.Path(os.fsdecode(path)),
    "path of bytes": OfBytes,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_taken(tmp_path, name, kind):
    """The longest, those that are no text, and those that look like something else; nothing else is there."""
    path = os.path.join(os.fsencode(tmp_path), NAMES[name])
    assert saved(KINDS[kind](path)) == len(BODY)
    assert there(tmp_path) == {NAMES[name]: BODY}
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=255).filter(lambda name: not {*b"/\0"} & {*name} and name not in {b".", b".."}))
def test_whatever_bytes_it_is_made_of(name):
    """A file system of this kind takes all but the slash and the NUL."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(os.fsencode(folder), name)
        with open(path, "wb"):
            pass  # it does take it
        assert saved(path) == len(BODY)
        assert there(folder) == {name: BODY}


@pytest.fixture
def deep(tmp_path):
    """A folder whose path leaves two bytes for a slash and a name, of the 4,095 that a path may have."""
    most = os.pathconf(tmp_path, "PC_PATH_MAX") - 1
    here, path = os.open(tmp_path, os.O_RDONLY), str(tmp_path)
    while len(path) < most - 2:
        name = "d" * min(200, most - 3 - len(path))
        if most - 2 - len(path) - 1 - len(name) == 1:
            name = name[:-1]  # what is left has to be at least a slash and a letter
        os.mkdir(name, dir_fd=here)
        before, here = here, os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(before)
        path += f"/{name}"
    assert len(path) == most - 2
    yield path, here
    os.close(here)
    shutil.rmtree(tmp_path)


def test_a_path_may_be_as_long_as_paths_are(deep):
    """One letter fits behind the folder's path, and no name that is longer."""
    folder, here = deep
    with pytest.raises(OSError, match="too long"):
        open(f"{folder}/nn", "wb")  # noqa: SIM115 - it fails
    assert saved(f"{folder}/n") == len(BODY)
    assert os.listdir(here) == ["n"]
    with open("n", "rb", opener=lambda name, flags: os.open(name, flags, dir_fd=here)) as file:
        assert file.read() == BODY


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("n" * 256, errno.ENAMETOOLONG),
        (b"\xff" * 256, errno.ENAMETOOLONG),
        ("é" * 128, errno.ENAMETOOLONG),
        ("missing/n", errno.ENOENT),
        ("file/n", errno.ENOTDIR),
        ("folder", errno.EISDIR),
        ("folder/", errno.EISDIR),
        (".", errno.EISDIR),
        ("folder/..", errno.EISDIR),
        ("", errno.ENOENT),
        ("folder/" * 600 + "n", errno.ENAMETOOLONG),
    ],
)
def test_what_no_file_can_be_is_refused_before_the_body_is_read(tmp_path, monkeypatch, path, error):
    """It is an `OSError`, and all is as it was."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("file").write_bytes(b"earlier")
    pathlib.Path("folder").mkdir()
    with pytest.raises(OSError) as caught:
        saved(path)
    assert caught.value.errno == error
    assert (caught.value.filename, caught.value.filename2) == (path, None)
    assert not caught.value.begun
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert not os.listdir("folder")


@pytest.mark.parametrize(
    ("path", "error"), [("n\0n", ValueError), (b"\0", ValueError), ("\ud800", ValueError), (3, TypeError)]
)
def test_what_is_no_path_is_refused(tmp_path, monkeypatch, path, error):
    """Before the body is read, as `open` refuses it."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        saved(path)
    assert not caught.value.begun
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("to", ["a file", "a folder", "nowhere", "itself"])
def test_a_symbolic_link_is_replaced(tmp_path, to):
    """And not followed, as `os.replace` has it: what it leads to is as it was."""
    (tmp_path / "file").write_bytes(b"earlier")
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to({"a file": "file", "a folder": "folder", "nowhere": "missing", "itself": "link"}[to])
    assert saved(link) == len(BODY)
    assert not link.is_symlink()
    assert link.read_bytes() == BODY
    assert (tmp_path / "file").read_bytes() == b"earlier"
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "link"]
    assert not list((tmp_path / "folder").iterdir())


def test_a_folder_behind_a_link_is_followed(tmp_path):
    """The file is where the path leads, and its part was there too: another file system would not rename it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    seen = []
    saved(tmp_path / "link" / "n", lambda: seen.extend(os.listdir(tmp_path / "folder")))
    assert there(tmp_path / "folder") == {b"n": BODY}
    [part] = seen
    assert part.endswith(".part")
    assert len(part) <= 14


def test_other_names_of_an_earlier_file_keep_it(tmp_path):
    """A hard link has the earlier body: it is replaced, and not written over."""
    (tmp_path / "n").write_bytes(b"earlier")
    os.link(tmp_path / "n", tmp_path / "other")
    saved(tmp_path / "n", lambda: (tmp_path / "n").read_bytes() == b"earlier" or pytest.fail("it is gone too early"))
    assert there(tmp_path) == {b"n": BODY, b"other": b"earlier"}


@pytest.mark.skipif(not files._FROM_A_FOLDER, reason="the system finds files by their whole paths only")
@pytest.mark.parametrize("what", ["another working directory", "the folder renamed"])
def test_it_stays_in_its_folder(tmp_path, monkeypatch, what):
    """Whatever is done to the path meanwhile: the file is where it was begun."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    change = {
        "another working directory": lambda: os.chdir(tmp_path / "else"),
        "the folder renamed": lambda: os.rename(tmp_path / "folder", tmp_path / "renamed"),
    }[what]
    saved("n" if what.startswith("another") else tmp_path / "folder" / "n", change)
    home = "folder" if what.startswith("another") else "renamed"
    assert there(tmp_path / home) == {b"n": BODY}
    assert not os.listdir(tmp_path / "else")


def test_without_open_folders_it_goes_by_whole_paths(tmp_path, monkeypatch):
    """Where the system cannot find files from a folder."""
    monkeypatch.setattr(files, "_FROM_A_FOLDER", False)
    monkeypatch.chdir(tmp_path)
    for path in ("n", tmp_path / "m", b"\xff" * 255):
        assert saved(path) == len(BODY)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        saved("folder")
    with pytest.raises(FileNotFoundError):
        saved("missing/n")
    os.rmdir("folder")
    assert there(tmp_path) == {b"n": BODY, b"m": BODY, b"\xff" * 255: BODY}


def test_a_part_of_somebody_else_s_is_left_alone(tmp_path, monkeypatch):
    """Where it has the very name, the save fails, and that file stays as it is."""
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "01234567")
    (tmp_path / ".01234567.part").write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        saved(tmp_path / "n")
    assert there(tmp_path) == {b".01234567.part": b"theirs"}


def test_a_part_that_somebody_removes(tmp_path):
    """It fails as an `OSError`, and what fails is told, not that nothing could be removed."""

    def remove():
        for path in tmp_path.iterdir():
            path.unlink()
        raise LookupError("in the middle")

    with pytest.raises(se.RequestError):
        saved(tmp_path / "n", remove)
    assert not os.listdir(tmp_path)


async def test_cancelled_anywhere_it_is_whole_or_not_at_all(tmp_path):
    """At each of its checkpoints: the earlier file or the new one, nothing beside it, and no file left open."""
    path = tmp_path / ("n" * 255)
    ends = []

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            with cancelled_at(task.event.data, while_it="runs") as cancelling:
                await answer.save(path)
        return cancelling.struck, cancelling.scope.cancelled_caught

    body = httpx.MockTransport(lambda _: httpx.Response(200, stream=Parts()))
    for step in range(1, 100):
        path.write_bytes(b"earlier")
        before = len(open_files())
        platform = se.Platform("A", scrape, base_url="http://a.test", transport=body)
        async with se.Engine([platform]).stream([se.Event(1, data=step)]) as run:
            [outcome] = [outcome async for outcome in run]
        struck, cancelled = outcome.value
        assert len(open_files()) <= before
        assert os.listdir(tmp_path) == [path.name]
        content = path.read_bytes()
        assert content == BODY or (cancelled and content == b"earlier")
        ends.append((cancelled, content == BODY))
        if not struck:
            break
    assert ends[-1] == (False, True)
    assert ends.count((True, False)) >= 6
