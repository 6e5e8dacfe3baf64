"""Addresses of IPv6: of listeners, clients, proxies in front and backends; at a gateway of its own (manifests-ipv6)."""

import json
import socket

import pytest

from clients import curl
from conftest import fetched

CLIENT = "2001:db8::77"


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
@pytest.mark.parametrize("origin", ["[::1]:6080", "[2001:db8::1]:6080", "[::1]:6090"])
def test_a_listener_is_asked_by_its_address_and_the_host_goes_on_as_it_came(origin, version):
    answer = curl(f"http://{origin}/a", version)
    assert (answer.status, answer.echo["pod"], answer.echo["host"]) == (200, "one", origin)
    assert (answer.asked("x-forwarded-host"), answer.asked("x-forwarded-port")) == (origin, origin.rpartition(":")[2])


def test_a_listener_at_an_address_has_no_other():
    assert curl("http://[2001:db8::1]:6090/").code == 7
    assert curl("http://127.0.0.1:6090/").code == 7


def test_backends_are_told_a_client_of_either_family_as_it_is_written():
    def told(url, source):
        return curl(url, "--interface", source, "--header", "Forwarded: for=1.2.3.4", "--header", "X-Forwarded-For: 1.2.3.4")

    six = told("http://[2001:db8::1]:6080/", CLIENT)
    assert (six.asked("x-forwarded-for"), six.asked("forwarded")) == (CLIENT, "")
    four = told("http://192.0.2.1:6080/", "192.0.2.77")
    assert four.asked("x-forwarded-for") == "192.0.2.77"


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_https(files, version):
    answer = curl("https://six.test:6443/", version, "--interface", CLIENT, trust=files / "servers.pem")
    assert (answer.status, answer.facts["remote_ip"], answer.echo["host"]) == (200, "2001:db8::1", "six.test:6443")
    assert (answer.asked("x-forwarded-for"), answer.asked("x-forwarded-proto")) == (CLIENT, "https")


def test_who_asked_for_an_address_is_sent_on_to_it():
    answer = curl("http://[::1]:6080/moved")
    assert (answer.status, answer.field("location")) == (302, "http://[::1]:6080/now")


@pytest.mark.parametrize("host", ["[::1", "::1", "[::1]x", "[::1]:x", "[1.2.3.4]"])
def test_what_is_no_host_is_refused(host):
    assert curl("http://[::1]:6080/", "--http1.1", "--header", f"Host: {host}").status == 400


@pytest.mark.parametrize("front", ["nginx-front.test:80:[2001:db8::51]", "haproxy-front.test:80:[2001:db8::52]"], ids=["version1", "version2"])
def test_a_client_is_whom_the_proxy_tells(front):
    answer = curl(f"http://{front.partition(':')[0]}/", "--resolve", front, "--interface", CLIENT)
    assert (answer.status, answer.asked("x-forwarded-for")) == (200, CLIENT)


def test_a_proxy_is_trusted_by_its_address():
    def said(source):
        with socket.create_connection(("2001:db8::1", 6081), timeout=10, source_address=(source, 0)) as stream:
            stream.sendall(b"PROXY TCP6 2001:db8:1::9 2001:db8::1 40000 6081\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return b"".join(iter(lambda: stream.recv(65536), b""))

    head, _, body = said("2001:db8::52").partition(b"\r\n\r\n")
    assert b" 200 " in head and json.loads(body)["headers"]["X-Forwarded-For"] == ["2001:db8:1::9"]
    assert b" 400 " in said(CLIENT).partition(b"\r\n")[0]


@pytest.mark.parametrize("address", ["::1", "2001:db8::1", "127.0.0.1", "192.0.2.1"])
def test_bytes_and_datagrams_reach_a_backend_and_come_back_from_where_they_were_sent_to(address):
    with socket.create_connection((address, 6900), timeout=10) as stream:
        lines = stream.makefile("rwb", buffering=0)
        assert lines.readline() == b"Gateway API Test TCP Server\n"
        lines.write(b"PING\n")
        assert lines.readline() == b"PONG\n"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(10)
        datagrams.connect((address, 6900))      # what comes from elsewhere is not received
        for word in ("one", "x" * 1000):
            datagrams.send(word.encode())
            said = json.loads(datagrams.recv(65536))
            assert (said["request"], said["pod"]) == (word, "datagrams")


def test_the_admin_server_is_found_in_both_families():
    for address in ("127.0.0.1", "[::1]"):
        assert fetched("/readyz", f"{address}:9902").startswith("ready")
