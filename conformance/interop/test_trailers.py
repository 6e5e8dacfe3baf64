"""Fields after a body: those of requests end at the gateway, as those of answers do where either side speaks HTTP/1; the message that they
followed is whole, and its connection goes on. Answers over HTTP/2 keep theirs from end to end; those of calls are in test_grpc.py."""

import socket
import subprocess

import pytest

from clients import curl

TRAILERS = b"X-Sum: 7\r\nContent-Length: 3\r\nHost: evil.test\r\nX-Forwarded-For: 6.6.6.6\r\n"
BODY = b"piece by piece\n" * 1000


@pytest.mark.parametrize("host", ["trailers.test", "trailers-h2c.test"], ids=["http1", "h2c"])
def test_a_request_over_http_1_with_trailers_arrives_whole_and_the_next_is_read_where_it_ends(files, host):
    pieces = b"".join(b"%x;part=%d\r\n%s\r\n" % (len(piece), place, piece) for place, piece in enumerate((BODY[:1], BODY[1:5000], BODY[5000:])))
    head = f"PUT /put/{host} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: X-Sum\r\n\r\n".encode()
    request = head + pieces + b"0\r\n" + TRAILERS + b"\r\n"
    with socket.create_connection(("192.0.2.1", 80), timeout=10) as stream:
        lines = stream.makefile("rb")
        for status in (b"HTTP/1.1 201", b"HTTP/1.1 204"):       # made, then replaced
            stream.sendall(request)
            assert lines.readline().startswith(status)
            assert b"close" not in dict(read_head(lines)).get(b"connection", b"")
            assert (files / "www/put" / host).read_bytes() == BODY


def test_what_trailers_of_a_request_say_becomes_no_header():
    request = b"POST / HTTP/1.1\r\nHost: plain.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\nbody\r\n0\r\n" + TRAILERS + b"\r\n"
    with socket.create_connection(("192.0.2.1", 80), timeout=10) as stream:
        stream.sendall(request)
        lines = stream.makefile("rb")
        assert lines.readline().startswith(b"HTTP/1.1 200")
        length = int(dict(read_head(lines))[b"content-length"])
        told = lines.read(length)
    assert b"evil" not in told and b"6.6.6.6" not in told and b"X-Sum" not in told


def read_head(lines):
    """The fields of a head, up to the empty line."""
    for line in iter(lines.readline, b"\r\n"):
        name, _, value = line.partition(b":")
        yield name.strip().lower(), value.strip().lower()


@pytest.mark.parametrize("host", ["trailers.test", "trailers-h2c.test"], ids=["http1", "h2c"])
def test_a_request_over_http_2_with_trailers_arrives_whole(files, host):
    body = files / f"{host}.body"
    body.write_bytes(BODY)
    target = f"https://{host}/put/h2-{host}"
    told = subprocess.run(["nghttp", "--no-verify-peer", "--verbose", "--header=:method: PUT", f"--data={body}", "--trailer=x-sum: 7", target],
                          capture_output=True, text=True, timeout=20).stdout
    assert "x-sum: 7" in told and ":status: 201" in told, told
    assert (files / "www/put" / f"h2-{host}").read_bytes() == BODY


CLIENTS = ["--http1.1", "--http2"]


@pytest.mark.parametrize("version", CLIENTS)
@pytest.mark.parametrize("host", ["trailers.test", "trailers-h2c.test"], ids=["http1", "h2c"])
def test_an_answer_with_trailers_is_whole_and_keeps_them_over_http_2_alone(files, host, version):
    for direct in (curl("http://192.0.2.10/trailed/text.txt", "--http1.1"), curl("http://192.0.2.10:81/trailed/text.txt", "--http2-prior-knowledge", "--compressed")):
        assert "x-sum: 7" in direct.heads.lower(), "the backend sends them"
    answer = curl(f"https://{host}/trailed/text.txt?[1-2]", version, "--compressed", trust=files / "servers.pem")
    assert (answer.code, answer.status, answer.body) == (0, 200, (files / "www/text.txt").read_bytes())
    assert [fact["num_connects"] for fact in answer.all_facts] == [1, 0]
    is_kept = version == "--http2" and host == "trailers-h2c.test"
    assert ("x-sum: 7" in answer.heads.lower()) == is_kept
