"""nginx and HAProxy in front of the gateway: the PROXY protocol, version 1 and 2, before HTTP, TLS and bytes."""

import socket

import pytest

from clients import curl


@pytest.mark.parametrize("front", ["nginx-front.test", "haproxy-front.test"], ids=["version1", "version2"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_who_connects_is_whom_the_proxy_tells(files, front, scheme):
    answer = curl(f"{scheme}://{front}/", "--interface", "192.0.2.77", trust=files / "servers.pem")
    assert (answer.status, answer.asked("x-forwarded-for")) == (200, "192.0.2.77")


def test_a_proxy_that_looks_for_itself_keeps_its_own_address_and_is_served(scene):
    """HAProxy's checks begin with LOCAL, and look at nothing but the connection; over TLS they shake hands."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(scene.files / "haproxy.sock"))
        control.sendall(b"show stat\n")
        rows = [row.split(",") for row in control.makefile().read().splitlines() if row]
    names = rows[0]
    servers = [dict(zip(names, row)) for row in rows[1:] if row[1] == "gateway"]
    # A star says that the next check is on its way.
    seen = [(server["# pxname"], server["status"], server["check_status"].removeprefix("* ")) for server in servers]
    assert seen == [("http", "UP", "L4OK"), ("https", "UP", "L6OK")]


def test_whoever_is_not_trusted_is_served_as_who_it_is_and_believed_nothing(files):
    answer = curl("http://plain.test:8080/", "--interface", "192.0.2.77", trust=files / "servers.pem")
    assert (answer.status, answer.asked("x-forwarded-for")) == (200, "192.0.2.77")
    lying = curl("http://plain.test:8080/", "--haproxy-protocol", "--interface", "192.0.2.77")
    assert lying.status == 400


def test_a_trusted_proxy_that_says_nothing_is_not_served():
    answer = curl("http://plain.test:8080/", "--interface", "192.0.2.51")
    assert (answer.status, answer.code) in ((0, 52), (0, 56))


def test_a_trusted_proxy_of_another_make_is_understood():
    """curl tells its own address."""
    answer = curl("http://plain.test:8080/", "--haproxy-protocol", "--interface", "192.0.2.51")
    assert (answer.status, answer.asked("x-forwarded-for")) == (200, "192.0.2.51")


def test_bytes_behind_a_proxy_reach_their_backend_without_its_header():
    with socket.create_connection(("192.0.2.51", 9000), timeout=10) as stream:
        lines = stream.makefile("rwb", buffering=0)
        assert lines.readline() == b"Gateway API Test TCP Server\n"
        lines.write(b"PING\n")
        assert lines.readline() == b"PONG\n"
