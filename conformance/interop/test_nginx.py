"""nginx as a backend: large bodies both ways, content in codings, ranges, TLS with and without a certificate of ours."""

import hashlib
import re

import pytest

from clients import curl


@pytest.fixture
def ask(files):
    """curl, trusting who certifies the gateway."""
    return lambda url, *arguments, **more: curl(url, *arguments, trust=files / "servers.pem", **more)


VERSIONS = [("http://nginx.test", "--http1.1"), ("http://nginx.test", "--http2-prior-knowledge"), ("https://nginx.test", "--http1.1"),
            ("https://nginx.test", "--http2")]


@pytest.mark.parametrize("origin, version", VERSIONS, ids=["http1", "h2c", "https1", "h2"])
def test_64_mib_come_down_whole(ask, files, origin, version):
    answer = ask(f"{origin}/large.bin", version)
    assert answer.status == 200
    assert digest(answer.body) == digest((files / "www/large.bin").read_bytes())


@pytest.mark.parametrize("origin, version", VERSIONS, ids=["http1", "h2c", "https1", "h2"])
def test_64_mib_go_up_whole(ask, files, origin, version):
    name = f"{origin[:5].strip(':')}{version}"
    answer = ask(f"{origin}/put/{name}", version, "--upload-file", files / "www/large.bin", "--expect100-timeout", "15")
    assert answer.status == 201
    assert digest((files / "www/put" / name).read_bytes()) == digest((files / "www/large.bin").read_bytes())


@pytest.mark.parametrize("origin, version", VERSIONS, ids=["http1", "h2c", "https1", "h2"])
def test_a_body_of_unknown_length_goes_up_in_chunks(ask, files, origin, version):
    name = f"chunks-{origin[:5].strip(':')}{version}"
    answer = ask(f"{origin}/put/{name}", version, "--upload-file", "-", input=b"piece by piece\n" * 100_000)
    assert answer.status == 201
    assert (files / "www/put" / name).read_bytes() == b"piece by piece\n" * 100_000


def test_memory_stays_flat_while_large_bodies_pass(scene, ask):
    """Slow readers of large bodies: what the backend could send faster waits there, not here."""
    before = resident(scene)
    answer = ask("https://nginx.test/slow/large.bin", "--http2", "--parallel", "--limit-rate", "8M", "--range", "0-16777215")
    assert answer.status == 206
    ask("http://nginx.test/large.bin", "--http1.1", "--limit-rate", "64M")
    assert resident(scene) - before < 32 << 20


def test_content_stays_in_the_coding_that_was_agreed_upon(ask, files):
    text = (files / "www/text.txt").read_bytes()
    packed = ask("http://nginx.test/text.txt", "--compressed")
    assert (packed.field("content-encoding"), packed.body) == ("gzip", text)
    raw = ask("http://nginx.test/text.txt", "--header", "Accept-Encoding: gzip")
    assert raw.body[:2] == b"\x1f\x8b" and len(raw.body) < len(text) / 10
    plain = ask("http://nginx.test/text.txt")
    assert (plain.field("content-encoding"), plain.body) == ("", text)


def test_ranges_and_conditions_are_the_backends_to_judge(ask):
    part = ask("http://nginx.test/large.bin", "--range", "10-19")
    assert (part.status, len(part.body), part.field("content-range")) == (206, 10, f"bytes 10-19/{64 << 20}")
    tag = part.field("etag")
    same = ask("http://nginx.test/large.bin", "--header", f"If-None-Match: {tag}")
    assert (same.status, same.body) == (304, b"")
    assert ask("http://nginx.test/large.bin", "--range", f"{64 << 20}-").status == 416


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_backend_that_refuses_a_body_early_is_heard(ask, files, version):
    answer = ask("https://nginx.test/small/x", version, "--upload-file", files / "www/text.txt")
    assert answer.status == 413, answer


def test_methods_and_answers_without_a_body_pass(ask):
    assert ask("http://nginx.test/put/gone", "--upload-file", "-", input=b"x").status == 201
    assert ask("http://nginx.test/put/gone", "--request", "DELETE").status == 204
    assert ask("http://nginx.test/put/gone").status == 404


def test_a_backend_over_tls_is_asked_by_its_name_and_over_http_2(ask):
    answer = ask("http://nginx-tls.test/")
    assert re.fullmatch(r"HTTP/2\.0 TLSv1\.3 nginx\.interop [.r]\n", answer.text), answer


def test_a_backend_that_asks_for_it_is_shown_the_gateways_certificate(ask):
    answer = ask("http://nginx-mutual.test/")
    assert answer.status == 200 and answer.text.startswith("SUCCESS CN=ourselves of interop"), answer


def digest(content):
    return hashlib.sha256(content).hexdigest()


def resident(scene):
    """Bytes of memory that the gateway has."""
    status = open(f"/proc/{scene.gateway.pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) << 10
