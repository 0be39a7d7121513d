"""What OpenSSL makes of bytes between two buffers: how much at once, in which order, and how it ends."""

import ssl

import pytest
import trustme

from scrapeengine.http.transport.records import Records

AUTHORITY = trustme.CA()
MANY = bytes(range(256)) * 1000
PART, RECORD = 64 * 1024, 16 * 1024


class Server:
    """The other end, by `ssl` itself."""

    def __init__(self, client, version):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = context.maximum_version = version
        AUTHORITY.issue_cert("a.test").configure_cert(context)
        self.came, self.going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.came, self.going, server_side=True)
        shaken = False
        while not (client.shaken() and shaken):
            self.came.write(client.take())
            try:
                self.tls.do_handshake()
                shaken = True
            except ssl.SSLWantReadError:
                pass
            if self.going.pending:
                client.came(self.going.read())
        self.going.read()

    def says(self, data):
        """Return records with so many bytes."""
        while data:
            data = data[self.tls.write(data) :]
        return self.going.read()

    def hears(self, data):
        """Decrypt records."""
        self.came.write(data)
        parts = []
        while self.came.pending:
            parts.append(self.tls.read(RECORD))
        return b"".join(parts)

    def leaves(self):
        """Return the record that says that this is all."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.going.read()


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def ends(request):
    """Make both ends."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    client = Records(context, "a.test")
    return client, Server(client, request.param)


def test_what_has_come_is_handed_out_by_parts(ends):
    """Of 64 KiB, or a record more; what is left is known to be there."""
    client, server = ends
    client.came(server.says(MANY))
    parts = []
    while client.incoming:
        parts.append(client.decrypted())
        assert len(parts[-1]) < PART + RECORD
    assert len(parts) == 4
    assert b"".join(parts) == MANY
    assert client.decrypted() is None


def test_what_is_given_is_encrypted_by_parts(ends):
    """So that a large body neither holds up the loop nor is in memory twice."""
    client, server = ends
    client.give(MANY)
    parts = []
    while client.outgoing:
        parts.append(client.take())
        assert len(parts[-1]) < PART + RECORD
    assert b"".join(server.hears(part) for part in parts) == MANY
    assert client.take() == b""


def test_a_record_is_there_once_it_is_whole(ends):
    """Whatever pieces it comes in."""
    client, server = ends
    data = server.says(b"hello")
    for at in range(len(data) - 1):
        client.came(data[at : at + 1])
        assert client.decrypted() is None
    client.came(data[-1:])
    assert client.decrypted() == b"hello"


def test_the_end_comes_after_what_came_before_it(ends):
    """In one piece as they came; and it stays the end."""
    client, server = ends
    client.came(server.says(b"hello") + server.leaves())
    assert client.decrypted() == b"hello"
    assert client.incoming
    assert client.decrypted() == client.decrypted() == b""


def test_an_end_without_a_farewell_is_one(ends):
    """As every client takes it; whether the answer is whole, HTTP says."""
    client, server = ends
    client.came(server.says(b"hello"))
    client.came(b"")
    assert client.decrypted() == b"hello"
    assert client.decrypted() == b""


def test_a_bad_record_behind_a_good_one(ends):
    """The good one is there first; of the other OpenSSL's own words are there, however often somebody asks."""
    client, server = ends
    good, bad = server.says(b"hello"), bytearray(server.says(b"there"))
    bad[-1] ^= 1
    client.came(good + bytes(bad))
    assert client.decrypted() == b"hello"
    for _ in range(2):
        with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
            client.decrypted()
