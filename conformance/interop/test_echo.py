"""The upstream suite's echo server in every mode that it has. Its WebSockets and calls are in test_websockets.py and test_grpc.py."""

import json
import socket
import ssl

import pytest

from clients import curl


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_http_1_1_with_what_proxies_add(files, version):
    said = curl("https://echo.test/a", version, "--interface", "192.0.2.77", trust=files / "servers.pem")
    assert (said.echo["proto"], said.echo["host"], said.echo["namespace"]) == ("HTTP/1.1", "echo.test", "interop")
    assert (said.asked("x-forwarded-for"), said.asked("x-forwarded-proto"), said.asked("x-forwarded-host")) == ("192.0.2.77", "https", "echo.test")


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_http_2_in_clear_by_its_app_protocol(files, version):
    said = curl("https://echo-h2c.test/a", version, "--data", "body", trust=files / "servers.pem")
    assert (said.status, said.echo["proto"], said.echo["host"], said.echo["method"]) == (200, "HTTP/2.0", "echo-h2c.test", "POST")


def test_tls_by_a_policy_with_the_name_and_the_certificate_that_it_says(files):
    said = curl("https://echo-tls.test/a", trust=files / "servers.pem")
    assert (said.echo["tls"]["serverName"], said.echo["tls"]["version"]) == ("echo.interop", "TLSv1.3")
    assert len(said.echo["tls"]["peerCertificates"]) >= 1
    assert said.echo["host"] == "echo-tls.test"


def test_what_it_is_told_to_answer_arrives(files):
    said = curl("https://echo.test/", "--header", "X-Echo-Set-Header: X-One:1, X-Two:2, Set-Cookie:a=b", trust=files / "servers.pem")
    assert (said.field("x-one"), said.field("x-two"), said.field("set-cookie")) == ("1", "2", "a=b")
    assert curl("http://plain.test/status/418").status == 418


def talk(stream):
    """What the server for bytes says: it speaks first, and answers line by line."""
    stream.settimeout(10)
    lines = stream.makefile("rwb", buffering=0)
    said = [lines.readline()]
    for word in (b"PING\n", b"IS_TLS\n", b"TEST\n"):
        lines.write(word)
        said.append(lines.readline())
    return said


def test_bytes_over_a_tcp_route():
    with socket.create_connection(("192.0.2.1", 9000)) as stream:
        welcome, pong, is_tls, test = talk(stream)
    assert (welcome, pong, is_tls) == (b"Gateway API Test TCP Server\n", b"PONG\n", b"false\n")
    assert json.loads(test)["pod"] == "bytes"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_bytes_over_a_tls_route_that_ends_tls(files, version):
    context = ssl.create_default_context(cafile=files / "servers.pem")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("192.0.2.1", 443)) as plain, context.wrap_socket(plain, server_hostname="ended.test") as stream:
        welcome, pong, is_tls, test = talk(stream)
    assert (welcome, pong, is_tls) == (b"Gateway API Test TCP Server\n", b"PONG\n", b"false\n")


def test_datagrams_over_a_udp_route():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(10)
        datagrams.connect(("192.0.2.1", 9000))
        for word in ("one", "two", "x" * 1000):
            datagrams.send(word.encode())
            said = json.loads(datagrams.recv(65536))
            assert (said["request"], said["pod"]) == (word, "datagrams")
