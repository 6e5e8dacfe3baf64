"""Knot DNS behind the gateway, asked by kdig over UDPRoute, TCPRoute and, as DNS over TLS, over TLSRoute."""

import re
from concurrent.futures import ThreadPoolExecutor

from clients import kdig


def test_a_name_is_asked_for_in_datagrams():
    assert kdig("+short", "www.zone.test", "A") == "203.0.113.7\n"
    assert kdig("+short", "www.zone.test", "AAAA") == "2001:db8::7\n"
    assert kdig("+short", "text.zone.test", "TXT") == '"the quick brown fox"\n'


def test_a_name_that_is_not_there_is_told_so():
    assert "status: NXDOMAIN" in kdig("nobody.zone.test")


def test_a_large_answer_is_cut_in_datagrams_and_whole_over_tcp():
    cut = kdig("+noedns", "+ignore", "large.zone.test", "TXT")
    assert re.search(r"Flags:.* tc", cut) and "(UDP)" in cut
    whole = kdig("+noedns", "large.zone.test", "TXT")
    assert whole.count("large.zone.test.") == 21 and "(TCP)" in whole


def test_a_large_answer_comes_in_one_datagram_where_both_sides_allow_it():
    answer = kdig("+bufsize=4096", "+ignore", "large.zone.test", "TXT")
    assert "(UDP)" in answer and " tc" not in answer
    assert int(re.search(r"Received (\d+) B", answer)[1]) > 2000


def test_a_zone_is_transferred_over_tcp():
    zone = kdig("zone.test", "AXFR")
    assert "(TCP)" in zone and re.search(r"Received \d+ B \(1 messages, 29 records\)", zone), zone[-400:]


def test_several_questions_share_a_connection():
    answer = kdig("+tcp", "+keepopen", "www.zone.test", "A", "alias.zone.test", "A", "x.wild.zone.test", "A")
    assert answer.count("status: NOERROR") == 3 and "203.0.113.8" in answer


def test_dns_over_tls_ends_at_the_gateway(files):
    answer = kdig(f"+tls-ca={files}/servers.pem", "+tls-hostname=dns.test", "+tls-sni=dns.test", "-p", "853", "www.zone.test", "A")
    assert "203.0.113.7" in answer and "TLS session (TLS1.3)" in answer, answer


def test_two_hundred_clients_ask_at_once():
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: kdig("+short", f"n{number}.wild.zone.test", "A"), range(200)))
    assert answers == ["203.0.113.8\n"] * 200
