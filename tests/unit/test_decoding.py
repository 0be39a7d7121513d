"""Content codings: what is sent is what is read, nothing cut short is taken for whole, and no bomb goes off."""

from __future__ import annotations

import gzip
import json
import random
import runpy
import subprocess
import sys
import types
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.http.transport.failures import CutShort, Unreadable
from scrapeengine.http.wire import decoding
from scrapeengine.http.wire.decoding import ACCEPT_ENCODING, CODINGS, decoder_for

MIB = 1024 * 1024
TEXT = b"".join(b'{"id": %d, "name": "Caf\xc3\xa9 %d"}\n' % (n, n * n) for n in range(40))


def bare(data: bytes, wbits: int = 15) -> bytes:
    """Compress as some do for `deflate`, without zlib's header and checksum."""
    packer = zlib.compressobj(wbits=-wbits)
    return packer.compress(data) + packer.flush()


def zstd_of(data: bytes, **options: int) -> bytes:
    """Compress to a frame with a checksum."""
    names = decoding.zstd.CompressionParameter
    given_ = {names.checksum_flag: 1} | {getattr(names, name): value for name, value in options.items()}
    packer = decoding.zstd.ZstdCompressor(options=given_)
    # In two calls, that the frame is not made for the data's size.
    return packer.compress(data) + packer.flush()


ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": zlib.compress,
    "br": lambda data: decoding.brotli.compress(data, quality=4),
    "zstd": zstd_of,
}
LIBRARY = {"br": "brotli", "zstd": "backports.zstd"}


def needs(coding: str) -> pytest.MarkDecorator:
    """Skip a test where the library of a coding is not installed."""
    return pytest.mark.skipif(coding not in CODINGS, reason=f"{LIBRARY.get(coding)} is not installed")


EACH = [pytest.param(coding, marks=needs(coding)) for coding in ENCODE]
UNITS = st.tuples(st.binary(min_size=1, max_size=60), st.integers(1, 10_000))
NOISE = st.tuples(st.integers(0, 2**32), st.integers(0, 200_000))
BODIES = st.one_of(
    st.binary(max_size=500),
    UNITS.map(lambda unit: unit[0] * unit[1]),
    NOISE.map(lambda noise: random.Random(noise[0]).randbytes(noise[1])),
)
CUTS = st.lists(st.integers(0, 10**6), max_size=12)
CHAINS = st.lists(st.sampled_from(CODINGS), min_size=1, max_size=5)


def encode(codings: list[str], data: bytes) -> bytes:
    """Apply codings in the order of the header."""
    for coding in codings:
        data = ENCODE[coding](data)
    return data


def parts_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut into parts, empty ones among them."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def decode(coding: str, *parts: bytes) -> bytes:
    """Decode a body that comes in parts; each piece has some bytes and at most 64 KiB."""
    decoder = decoder_for(coding)
    assert decoder is not None
    pieces = [piece for part in parts for piece in decoder.feed(part)]
    decoder.end()
    assert all(0 < len(piece) <= 65536 for piece in pieces)
    return b"".join(pieces)


def outcome(coding: str, *parts: bytes) -> object:
    """Decode, and return what came or the class of the error."""
    try:
        return decode(coding, *parts)
    except (CutShort, httpx.DecodingError) as error:
        return type(error)


@pytest.mark.parametrize("coding", EACH)
@given(data=BODIES, cuts=CUTS)
def test_what_was_encoded_is_decoded(coding: str, data: bytes, cuts: list[int]) -> None:
    """Each coding gives back what was encoded, however its bytes come."""
    assert decode(coding, *parts_of(encode([coding], data), cuts)) == data


@given(codings=CHAINS, data=BODIES, cuts=CUTS)
def test_chains_are_undone_from_the_last_to_the_first(codings: list[str], data: bytes, cuts: list[int]) -> None:
    """Several codings, the same one twice among them, are undone in reverse order."""
    assert decode(", ".join(codings), *parts_of(encode(codings, data), cuts)) == data


@given(data=BODIES, cuts=CUTS, wbits=st.integers(9, 15), level=st.integers(0, 9), strategy=st.integers(0, 4))
def test_deflate_is_read_with_and_without_its_header(
    data: bytes, cuts: list[int], wbits: int, level: int, strategy: int
) -> None:
    """The first byte tells zlib's format and bare deflate apart, however it was encoded."""
    for bits in (wbits, -wbits):
        packer = zlib.compressobj(level, wbits=bits, strategy=strategy)
        coded = packer.compress(data) + packer.flush()
        assert decode("deflate", *parts_of(coded, cuts)) == data


@pytest.mark.parametrize("coding", EACH)
def test_what_there_was_no_room_for_is_given_out(coding: str) -> None:
    """A library may have taken in all of a body and still hold some of it, and not say so."""
    text = b"".join(b"%d, %d\n" % (n * n, n**3) for n in range(40_000))
    assert decode(coding, ENCODE[coding](text)) == text
    for size in range(65_536, 65_800):
        assert decode(coding, ENCODE[coding](bytes(size))) == bytes(size)
        assert decode("deflate", bare(bytes(size))) == bytes(size)


REST = st.sampled_from([b"", b"\0", b"\0" * 600, b"\x1f\x8a\x08", b"\x1fa", b"\r\n", b"<!-- took 3 ms -->" * 5000])


@given(bodies=st.lists(st.binary(max_size=99), min_size=1, max_size=5), rest=REST, cuts=CUTS)
def test_members_of_gzip_are_read_and_what_follows_is_not(bodies: list[bytes], rest: bytes, cuts: list[int]) -> None:
    """One member after the other is decoded; padding and rubbish behind them are ignored, however they come."""
    coded = b"".join(map(ENCODE["gzip"], bodies))
    # Neither a whole member nor rubbish that looks like one begins anew behind rubbish.
    for behind in (rest, rest and rest + ENCODE["gzip"](b"x") + b"\x1f\x8b\x08"):
        assert decode("gzip", *parts_of(coded + behind, cuts)) == b"".join(bodies)


@pytest.mark.parametrize("pack", [zlib.compress, bare])
def test_what_follows_deflate_is_ignored(pack: Callable[[bytes], bytes]) -> None:
    """Rubbish behind a stream is ignored, in the same part and in a later one."""
    assert decode("deflate", pack(TEXT) + b"\r\n") == decode("deflate", pack(TEXT), b"\r\n") == TEXT


@needs("br")
def test_nothing_may_follow_brotli() -> None:
    """Data behind a stream is refused, in the same part and in a later one, another stream too."""
    for behind in (b"\0", ENCODE["br"](TEXT)):
        assert outcome("br", ENCODE["br"](TEXT) + behind) is httpx.DecodingError
        assert outcome("br", ENCODE["br"](TEXT), behind) is httpx.DecodingError


@needs("zstd")
@given(bodies=st.lists(st.binary(max_size=99), min_size=1, max_size=5), cuts=CUTS)
def test_frames_of_zstd_are_read_and_those_to_skip_are_not(bodies: list[bytes], cuts: list[int]) -> None:
    """One frame after the other is decoded, and those for other programs between them are skipped."""
    skipped = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"
    coded = skipped.join(map(zstd_of, bodies))
    assert decode("zstd", *parts_of(coded, cuts)) == b"".join(bodies)
    assert outcome("zstd", coded + b"rubbish") is httpx.DecodingError


@needs("zstd")
def test_zstd_with_a_large_window_is_refused() -> None:
    """A frame may ask for 8 MiB of memory, and for no more."""
    assert decode("zstd", zstd_of(TEXT, window_log=23)) == TEXT
    for log in (24, 27, 31):
        assert outcome("zstd", zstd_of(TEXT, window_log=log)) is httpx.DecodingError


@pytest.mark.parametrize(
    "name",
    [
        "GZIP",
        "x-gzip",
        "X-GZip",
        " gzip\t",
        "gzip,",
        ",identity , gzip",
        "gzip, utf-8",
        "none,gzip",
        "gzip, aws-chunked",
    ],
)
def test_names_are_read_as_they_are_sent(name: str) -> None:
    """Case, spaces, empty members of the list, `identity` and what is no coding make no difference."""
    assert decode(name, ENCODE["gzip"](TEXT)) == TEXT


@pytest.mark.parametrize("name", ["x-deflate", "X-Deflate", "x-deflate, UTF-8"])
def test_deflate_has_another_name(name: str) -> None:
    """No registry has it, and servers send it; with zlib's header and without."""
    assert decode(name, zlib.compress(TEXT)) == decode(name, bare(TEXT)) == TEXT


NO_CODINGS = [
    "utf-8",
    "UTF8",
    "none",
    "null",
    "*",
    "binary",
    "8bit",
    "aws-chunked",
    "text/html",
    "gzip;q=1",
    "chunked",
    "\xff",
]


@pytest.mark.parametrize("name", ["", " , ", "identity", "Identity", *NO_CODINGS, "utf-8, none"])
def test_what_is_no_coding_is_ignored(name: str) -> None:
    """There is no decoder for no coding, and labels that are none say nothing of the bytes."""
    assert decoder_for(name) is None


@given(labels=st.lists(st.sampled_from([*NO_CODINGS, "identity", ""]), max_size=40), codings=CHAINS, draw=st.randoms())
def test_labels_among_codings_change_nothing(labels: list[str], codings: list[str], draw: random.Random) -> None:
    """However many there are, and wherever they stand."""
    mixed = list(codings)
    for label in labels:
        mixed.insert(draw.randint(0, len(mixed)), label)
    assert decode(", ".join(mixed), encode(codings, TEXT)) == TEXT


UNREAD = ["compress", "x-compress", "X-Compress", "dcb", "DCZ", "aes128gcm", "exi", "pack200-gzip"]


@pytest.mark.parametrize("name", UNREAD)
def test_a_coding_that_nobody_reads_here_is_an_error(name: str) -> None:
    """It is one, so that the bytes are no body; alone, outermost and within another, and with labels that are none."""
    for codings in (name, f"gzip, {name}", f"utf-8, {name}, none", f"{name}, identity"):
        with pytest.raises(Unreadable, match=f"^the body is {name.lower()}, which cannot be read here$"):
            decode(codings, TEXT)
    with pytest.raises(Unreadable, match=name.lower()):
        decode(f"{name}, gzip", ENCODE["gzip"](TEXT))
    assert decode(name) == decode(name, b"") == decode(f"{name}, gzip", ENCODE["gzip"](b"")) == b""


def test_five_codings_are_the_most() -> None:
    """A sixth coding is refused, at the first byte of a body; labels that are none do not count."""
    assert decode("gzip, gzip, identity, gzip, gzip, none, gzip", encode(["gzip"] * 5, TEXT)) == TEXT
    assert decode(", ".join(["gzip"] * 6)) == b""
    with pytest.raises(httpx.DecodingError, match="6 content codings, more than 5"):
        decode(", ".join(["gzip"] * 6), encode(["gzip"] * 6, TEXT))


@pytest.mark.parametrize("coding", [*EACH, "gzip, deflate"])
def test_no_body_at_all_is_whole(coding: str) -> None:
    """The answer to a HEAD has a coding and no body."""
    assert decode(coding) == decode(coding, b"") == b""


@pytest.mark.parametrize("coding", [*EACH, "bare", "gzip, deflate", "deflate, gzip"])
def test_a_body_that_is_cut_short_is_never_whole(coding: str) -> None:
    """Wherever it is cut, and however it comes, what was decoded is a part of it, and then its end is missed."""
    coded = bare(TEXT) if coding == "bare" else encode(coding.split(", "), TEXT)
    for cut in range(1, len(coded)):
        for size in (1, 7, cut):
            decoder = decoder_for("deflate" if coding == "bare" else coding)
            assert decoder is not None
            parts = [coded[start : min(start + size, cut)] for start in range(0, cut, size)]
            assert TEXT.startswith(b"".join(piece for part in parts for piece in decoder.feed(part)))
            with pytest.raises(CutShort, match=r"before its \w+ was whole"):
                decoder.end()


def test_what_is_cut_short_within_a_whole_one_is_missed() -> None:
    """Each coding of a chain has to come to its end."""
    coded = ENCODE["deflate"](TEXT)
    for cut in range(1, len(coded)):
        assert outcome("deflate, gzip", ENCODE["gzip"](coded[:cut])) is CutShort


def test_a_second_member_that_is_cut_short_is_missed() -> None:
    """From the first byte of its magic number on, a further member of gzip has to be whole."""
    coded, size = ENCODE["gzip"](TEXT) * 2, len(ENCODE["gzip"](TEXT))
    for cut in range(size + 1, len(coded)):
        assert outcome("gzip", coded[:cut]) is outcome("gzip", coded[:size], coded[size:cut]) is CutShort


@pytest.mark.parametrize("coding", [pytest.param(name, marks=needs(name)) for name in ("gzip", "deflate", "zstd")])
def test_checksums_are_checked(coding: str) -> None:
    """A wrong checksum is an error, whichever byte of it is wrong."""
    coded = ENCODE[coding](TEXT)
    for place in range(-4, 0):
        wrong = bytearray(coded)
        wrong[place] ^= 1
        assert outcome(coding, bytes(wrong)) is httpx.DecodingError


@pytest.mark.parametrize("coding", EACH)
def test_errors_quote_nothing(coding: str) -> None:
    """The text says what was wrong in our words, and the library's error does not hang on to it."""
    with pytest.raises(httpx.DecodingError, match=r"^the body is not \w+ that can be decoded here$") as info:
        decode(coding, b"<secret>" * 20)
    assert info.value.__suppress_context__
    assert info.value.__cause__ is None


SPOILT = st.tuples(CHAINS, BODIES, st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=3)), max_size=4))


@given(codings=CHAINS, data=st.binary(max_size=300), cuts=CUTS)
def test_any_bytes_end_in_an_error_of_ours(codings: list[str], data: bytes, cuts: list[int]) -> None:
    """Whatever is sent, it is decoded, or malformed, or cut short; and that is the same however it comes."""
    coding = ", ".join(codings)
    assert outcome(coding, data) == outcome(coding, *parts_of(data, cuts))


@given(spoilt=SPOILT, cuts=CUTS)
def test_spoilt_bodies_end_in_an_error_of_ours(spoilt: tuple[Any, bytes, Any], cuts: list[int]) -> None:
    """A body with some bytes overwritten, and cut short, is malformed or whole or cut short however it comes."""
    codings, data, changes = spoilt
    coded, coding = encode(codings, data), ", ".join(codings)
    for place, some in changes:
        at = place % len(coded)
        coded = coded[:at] + some + coded[at + len(some) :] if some else coded[: at + 1]
    assert outcome(coding, coded) == outcome(coding, *parts_of(coded, cuts))


def emptiness(kind: str) -> tuple[str, bytes]:
    """Make some megabytes that next to nothing comes of."""
    empty, one = ENCODE["gzip"](b""), ENCODE["gzip"](b"x")
    many = {
        "members": ("gzip", empty * 100_000),
        "members of one byte": ("gzip", one * 100_000),
        "a comment": ("gzip", one[:3] + b"\x10" + one[4:10] + b"c" * 2 * MIB + b"\0" + one[10:]),
        "rubbish": ("gzip", one + b"r" * 2 * MIB),
        "blocks": ("deflate", b"\0\0\0\xff\xff" * 300_000 + bare(b"")),
        "within another": ("gzip, deflate", zlib.compress(empty * 100_000)),
    }
    if kind.startswith("frames"):
        return "zstd", (zstd_of(b"") if kind == "frames" else b"\x50\x2a\x4d\x18\0\0\0\0") * 200_000
    return many[kind]


FRAMES = [pytest.param(kind, marks=needs("zstd")) for kind in ("frames", "frames to skip")]
EMPTY = ["members", "members of one byte", "a comment", "rubbish", "blocks", "within another", *FRAMES]


@pytest.mark.parametrize("kind", EMPTY)
def test_much_that_nothing_comes_of_is_given_up(kind: str) -> None:
    """A cap on what is decoded does not see it, so that the decoder has to."""
    with pytest.raises(httpx.DecodingError, match=r"^next to nothing comes of the body's \w+$"):
        decode(*emptiness(kind))


@pytest.mark.parametrize("coding", [pytest.param(name, marks=needs(name)) for name in ("gzip", "zstd")])
def test_many_small_members_are_read(coding: str) -> None:
    """A log whose lines were compressed one by one is long, and honest."""
    line = b"GET /a/longer/path 200\n"
    assert decode(coding, ENCODE[coding](line) * 20_000) == line * 20_000


@needs("br")
def test_a_decoder_that_makes_no_progress_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that wants to go on and gives nothing is asked once more, and not for ever."""
    calls = []

    class Stuck:
        def process(self, data: bytes, output_buffer_limit: int) -> bytes:
            calls.append(data)
            assert output_buffer_limit <= 65536
            assert len(calls) < 10
            return b""

        def can_accept_more_data(self) -> bool:
            return False

        def is_finished(self) -> bool:
            return False

    monkeypatch.setattr(decoding, "brotli", types.SimpleNamespace(Decompressor=Stuck))
    with pytest.raises(httpx.DecodingError, match="makes no progress"):
        decode("br", b"data")
    assert calls == [b"data", b""]


def zeros(packer: Any, size: int) -> bytes:
    """Compress that many MiB of zeros."""
    pack = getattr(packer, "compress", None) or packer.process
    tail = getattr(packer, "flush" if hasattr(packer, "compress") else "finish")
    return b"".join([pack(bytes(MIB)) for _ in range(size)]) + tail()


def bomb(kind: str) -> tuple[str, bytes, float]:
    """Make 256 MiB small, and return the coding, the body, and the MiB of windows it needs."""
    brotli, zstd = decoding.brotli, decoding.zstd
    if kind == "deflate":
        return kind, zeros(zlib.compressobj(1), 256), 0
    if kind == "gzip":
        return kind, zeros(zlib.compressobj(1, wbits=31), 256), 0
    if kind == "gzip, gzip":
        return kind, gzip.compress(zeros(zlib.compressobj(1, wbits=31), 256)), 0
    if kind.startswith("br"):
        log = int(kind.partition(" ")[2])
        return "br", zeros(brotli.Compressor(quality=3, lgwin=log), 256), 2.0**log / MIB
    log = int(kind.partition(" ")[2])
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: log})
    return "zstd", zeros(packer, 256), 2.0**log / MIB


WATCH = """
import json, pathlib, sys
from scrapeengine.http.wire.decoding import decoder_for

def peak():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

coding, data = sys.argv[1], sys.stdin.buffer.read()
list(decoder_for(coding).feed(data[:2]))
pathlib.Path("/proc/self/clear_refs").write_text("5")
before, size, count = peak(), 0, 0
for piece in decoder_for(coding).feed(data):
    size, count = size + len(piece), count + 1
    if size >= 64 * 2**20:
        break
print(json.dumps([size, count, peak() - before]))
"""
BOMBS = ["gzip", "deflate", "gzip, gzip"]
BOMBS += [pytest.param(f"br {log}", marks=needs("br")) for log in (16, 24)]
BOMBS += [pytest.param(f"zstd {log}", marks=needs("zstd")) for log in (16, 23)]


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_decoded_no_further_than_it_is_asked_to(kind: str) -> None:
    """In another process, whose memory grows by the coding's windows and less than 1 MiB, libraries included."""
    coding, data, windows = bomb(kind)
    command = [sys.executable, "-c", WATCH, coding]
    run = subprocess.run(command, input=data, capture_output=True, check=True, timeout=60)
    size, count, grown = json.loads(run.stdout)
    assert len(data) < 2 * MIB
    assert 64 * MIB <= size < 65 * MIB
    assert count >= 1024
    assert grown / 1024 < windows + 1


def test_what_is_there_is_asked_for() -> None:
    """The codings that can be decoded are those that servers are asked for."""
    assert ACCEPT_ENCODING.split(", ") == list(CODINGS)
    assert CODINGS[:2] == ("gzip", "deflate")
    assert ("br" in CODINGS, "zstd" in CODINGS) == (decoding.brotli is not None, decoding.zstd is not None)
    assert all(decoder_for(coding) is not None for coding in CODINGS)


def alone(monkeypatch: pytest.MonkeyPatch, brotli: object = None) -> dict[str, Any]:
    """Return the module as it is without libraries."""
    monkeypatch.setitem(sys.modules, "brotli", brotli)
    monkeypatch.setitem(sys.modules, "backports", None)
    monkeypatch.setitem(sys.modules, "compression", None)
    return runpy.run_path(decoding.__file__)


HINT = r"pip install --upgrade 'scrapeengine\[encodings\]'"
OLD = types.SimpleNamespace(Decompressor=object, __version__="1.1.0")
BROTLIS = {"": None, " with brotli 1.1.0, but with 1.2 or later": OLD}


@pytest.mark.parametrize("found", BROTLIS)
def test_what_is_not_installed_is_not_asked_for(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    """Without libraries, or with a brotli that knows no limit, a body in their codings is an error that says so."""
    module = alone(monkeypatch, BROTLIS[found])
    assert module["ACCEPT_ENCODING"] == "gzip, deflate"
    zstd = "" if sys.version_info >= (3, 14) else HINT
    for coding, words in ("br", f"{found}: {HINT}"), ("zstd", f": {zstd}"):
        for names in (coding, coding.upper(), f"none, {coding}", f"gzip, {coding}", f"{coding},"):
            decoder = module["decoder_for"](names)
            with pytest.raises(Unreadable, match=f"^the body is {coding}, which cannot be read here{words}"):
                list(decoder.feed(b"x"))
        within = module["decoder_for"](f"{coding}, gzip")
        with pytest.raises(Unreadable, match=coding):
            list(within.feed(gzip.compress(TEXT)))
        empty = module["decoder_for"](coding)
        assert list(empty.feed(b"")) == []
        empty.end()


def test_an_old_brotli_of_no_version_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another library of that name may not say which it is."""
    module = alone(monkeypatch, types.SimpleNamespace())
    with pytest.raises(Unreadable, match="brotli as it is, but with 1"):
        list(module["decoder_for"]("br").feed(b"x"))


def bloated() -> bytes:
    """Code one byte twice, with comments: each coding takes in sixteen times what it gives, and 17 MiB are in vain."""
    inner = gzip.compress(b"x")
    inner = inner[:3] + b"\x10" + inner[4:10] + b"c" * (MIB - 4096) + b"\0" + inner[10:]
    members = []
    for start in range(0, len(inner), 4096):
        part = gzip.compress(inner[start : start + 4096], 0)
        members.append(part[:3] + b"\x10" + part[4:10] + b"c" * (4096 * 15) + b"\0" + part[10:])
    return b"".join(members)


def test_a_chain_does_no_more_in_vain_than_one_coding(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of its codings does so much that it would be given up; what passes between them is counted together."""
    body, passed, make = bloated(), [0], decoding._zlib
    body = gzip.compress(gzip.compress(body))
    assert len(body) < 10_000

    def counting(wbits: int) -> Callable[[bytes], Any]:
        engine = make(wbits)

        def step(data: bytes) -> Any:
            done = engine(data)
            passed[0] += len(done.piece)
            return done

        return step

    monkeypatch.setattr(decoding, "_zlib", counting)
    with pytest.raises(httpx.DecodingError, match=r"^next to nothing comes of the body's codings$"):
        decode("gzip, gzip, gzip, gzip", body)
    assert passed[0] < 1.2 * MIB
