"""openssl: which certificate is shown, what is agreed upon, who is let in, and what is resumed."""

import re

import pytest

from clients import openssl


@pytest.fixture
def hello(files):
    """`openssl s_client`, trusting who certifies the gateway."""
    return lambda *arguments, **more: openssl(*arguments, **({"trust": files / "servers.pem"} | more))


def subject(seen):
    return re.search(r"subject=.*CN = (\S+) of interop", seen)[1] if "subject=" in seen else None


def closed_silently(seen):
    return "unexpected eof" in seen and "alert" not in seen and "no peer certificate available" in seen


def test_the_name_chooses_the_certificate(hello):
    assert subject(hello(host="echo.test")) == "all"
    assert subject(hello(host="a.wild.test")) == "wild"
    assert subject(hello(host="ended.test")) == "ended"
    assert subject(hello(host="passed.test")) == "nginx"
    assert "Verification: OK" in hello(host="ECHO.test")


@pytest.mark.parametrize("name", ["echo.example", None])
def test_whoever_asks_for_no_name_of_ours_is_left_without_an_alert(hello, name):
    seen = hello(host=name)
    assert closed_silently(seen), seen


def test_of_two_certificates_the_client_gets_the_one_that_it_can_check(hello):
    assert subject(hello("-tls1_3", "-sigalgs", "ecdsa_secp256r1_sha256", host="shop.test")) == "shop-ecdsa"
    assert subject(hello("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", host="shop.test")) == "shop-rsa"
    assert subject(hello("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", host="shop.test")) == "shop-ecdsa"


@pytest.mark.parametrize("offered, agreed", [("h2,http/1.1", "h2"), ("http/1.1,h2", "h2"), ("http/1.1", "http/1.1"),
                                             ("http/1.0,http/1.1", "http/1.1")])
def test_the_best_protocol_of_those_offered_is_agreed_upon(hello, offered, agreed):
    assert f"ALPN protocol: {agreed}\n" in hello("-alpn", offered)


def test_without_an_offer_no_protocol_is_agreed_upon_and_an_unknown_one_is_refused(hello):
    assert "No ALPN negotiated" in hello()
    assert "alert no application protocol" in hello("-alpn", "spdy/9")


@pytest.mark.parametrize("version, named", [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_both_versions_of_tls_are_spoken(hello, version, named):
    assert f"New, {named}, Cipher is" in hello(version)


def test_older_versions_are_refused_and_on_request_1_2_too(hello):
    """A client of TLS 1.1 names no algorithms of signatures, which is what is missed first."""
    assert "alert handshake failure" in hello("-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0")
    assert "alert protocol version" in hello("-tls1_2", host="modern.test", port=8443)
    assert "New, TLSv1.3" in hello(host="modern.test", port=8443)


@pytest.mark.parametrize("group", ["X25519", "P-256", "P-384"])
def test_keys_are_agreed_upon_by_every_usual_group_also_after_a_second_hello(hello, group):
    """The second hello: what is offered first is a group that the gateway does not have."""
    assert "New, TLSv1.3" in hello("-groups", group)
    assert "New, TLSv1.3" in hello("-groups", f"P-521:{group}")


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_suites_of_1_2_are_those_that_keep_secrets(hello, suite):
    assert f"Cipher is {suite}" in hello("-tls1_2", "-cipher", suite)
    assert "alert handshake failure" in hello("-tls1_2", "-cipher", "AES128-GCM-SHA256:DEFAULT@SECLEVEL=0:!ECDHE")


def test_a_hello_of_several_records_is_read_whole(hello):
    """Offered are so many protocols that a hello in records of 512 bytes has four of them."""
    many = ",".join([f"protocol-number-{number:03}" for number in range(100)] + ["h2"])
    assert "ALPN protocol: h2\n" in hello("-max_send_frag", "512", "-alpn", many)
    assert subject(hello("-max_send_frag", "512", "-alpn", many, host="passed.test")) == "nginx"


SHOWS_CLIENT = ["-cert", "client.pem", "-key", "client.key"]
SHOWS_STRANGER = ["-cert", "stranger.pem", "-key", "stranger.key"]
REQUEST = b"GET / HTTP/1.1\r\nHost: known.test\r\nConnection: close\r\n\r\n"


def asked(hello, files, shown, version, port, host):
    """What a request is answered over a connection that shows these files."""
    shown = [files / word if str(word).endswith((".pem", ".key")) else word for word in shown]
    return hello(*shown, version, "-ign_eof", port=port, host=host, say=REQUEST.replace(b"known.test", host.encode()))


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_where_certificates_of_clients_are_asked_for_only_the_right_ones_let_in(hello, files, version):
    assert "HTTP/1.1 200" in asked(hello, files, SHOWS_CLIENT, version, 9443, "known.test")
    for shown in ([], SHOWS_STRANGER):
        seen = asked(hello, files, shown, version, 9443, "known.test")
        assert "HTTP/1.1" not in seen and "alert" in seen, seen


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_with_the_insecure_fallback_everybody_is_let_in(hello, files, version):
    for shown in ([], SHOWS_CLIENT, SHOWS_STRANGER):
        assert "HTTP/1.1 200" in asked(hello, files, shown, version, 9444, "anybody.test")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_are_resumed_but_not_where_more_is_asked_for(hello, files, tmp_path, version):
    kept = tmp_path / "session"
    request = REQUEST.replace(b"known.test", b"echo.test")
    first = hello(version, "-sess_out", kept, "-ign_eof", say=request)
    assert "New, TLSv1" in first and "HTTP/1.1 200" in first
    again = hello(version, "-sess_in", kept, "-ign_eof", say=request)
    assert "Reused, TLSv1" in again and "HTTP/1.1 200" in again
    elsewhere = asked(hello, files, ["-sess_in", kept], version, 9443, "known.test")
    assert "Reused" not in elsewhere and "HTTP/1.1" not in elsewhere


def test_a_connection_that_is_passed_on_speaks_with_its_backend_itself(hello, files):
    seen = hello("-alpn", "h2,http/1.1", host="passed.test")
    assert subject(seen) == "nginx" and "ALPN protocol: h2" in seen
    answer = hello("-ign_eof", host="passed.test", say=b"GET / HTTP/1.0\r\nHost: passed.test\r\n\r\n")
    assert "HTTP/1.1 200" in answer and "HTTP/1.0 TLSv1.3 passed.test" in answer, answer[-400:]
