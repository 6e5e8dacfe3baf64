"""A ClientHello as networks and odd clients may cut it: made by OpenSSL, by way of Python, and sent in records and segments of our choice."""

import socket
import ssl
import time

import pytest

HOSTS = [("echo.test", b"GET / HTTP/1.1\r\nHost: echo.test\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200"),
         ("passed.test", b"GET / HTTP/1.1\r\nHost: passed.test\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200"),
         ("ended.test", b"", b"Gateway API Test TCP Server")]


class Client:
    """TLS between two buffers, and a socket that carries them."""

    def __init__(self, files, host, source="192.0.2.70"):
        context = ssl.create_default_context(cafile=files / "servers.pem")
        context.set_alpn_protocols(["http/1.1"])
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)
        self.socket = socket.create_connection(("192.0.2.1", 443), timeout=10, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self.hello = self.outgoing.read()

    def ask(self, request):
        """Finishes the handshake, and asks."""
        self.until(self.tls.do_handshake)
        if request:
            self.until(lambda: self.tls.write(request))
        return self.until(lambda: self.tls.read(4096))

    def until(self, step):
        while True:
            try:
                done = step()
                self.socket.sendall(self.outgoing.read())
                return done
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                received = self.socket.recv(65536)
                assert received, "closed"
                self.incoming.write(received)


def in_records(hello, size):
    """The same handshake message in records of so many bytes."""
    head, message = hello[:3], hello[5:]
    pieces = [message[start:start + size] for start in range(0, len(message), size)]
    return b"".join(head + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize("host, request_, answer", HOSTS, ids=["ended-to-http", "passed-on", "ended-to-bytes"])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_hello_of_several_records_in_one_segment_is_read_whole(files, host, request_, answer, size):
    client = Client(files, host)
    client.socket.sendall(in_records(client.hello, size))
    assert client.ask(request_).startswith(answer)


@pytest.mark.parametrize("host, request_, answer", HOSTS, ids=["ended-to-http", "passed-on", "ended-to-bytes"])
def test_a_hello_of_several_records_in_segments_that_split_them_is_read_whole(files, host, request_, answer):
    client = Client(files, host)
    cut = in_records(client.hello, 50)
    for start in range(0, len(cut), 33):
        client.socket.sendall(cut[start:start + 33])
        time.sleep(0.002)     # a segment of its own, most likely; nothing depends on it
    assert client.ask(request_).startswith(answer)


def test_a_hello_that_never_ends_is_cut_off_in_time(files):
    """Records come all the time, each with a byte of a message that is promised to be long. Limits of this Gateway: two seconds."""
    began = time.monotonic()
    with socket.create_connection(("192.0.2.1", 443), timeout=10) as stream:
        stream.sendall(b"\x16\x03\x01\x00\x04\x01\x00\xff\x00")
        with pytest.raises(OSError):
            while time.monotonic() - began < 10:
                stream.sendall(b"\x16\x03\x01\x00\x01\x00")
                time.sleep(0.05)
    assert time.monotonic() - began < 6


def test_a_hello_that_is_too_long_is_refused_at_once():
    """A message of 16 MB is announced and sent as fast as it goes: long before the deadline it is refused, whatever was sent."""
    began = time.monotonic()
    with socket.create_connection(("192.0.2.1", 443), timeout=10) as stream:
        with pytest.raises(OSError):
            stream.sendall(b"\x16\x03\x01\x00\x04\x01\xff\xff\xff")
            for _ in range(1000):
                stream.sendall(b"\x16\x03\x01\x40\x00" + bytes(16384))
            assert stream.recv(1) == b""
            stream.sendall(b"x")
            raise OSError
    assert time.monotonic() - began < 2
