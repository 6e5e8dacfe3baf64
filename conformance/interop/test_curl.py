"""curl, in every version of HTTP that it speaks, with the upstream suite's echo server behind the gateway."""

import pytest

from clients import curl


@pytest.fixture
def ask(files):
    """curl, trusting who certifies the gateway."""
    return lambda url, *arguments, **more: curl(url, *arguments, trust=files / "servers.pem", **more)


def test_http_1_1_in_clear(ask):
    answer = ask("http://plain.test/hello?a=b", "--http1.1")
    assert (answer.status, answer.version) == (200, "1.1")
    assert (answer.echo["path"], answer.echo["host"], answer.echo["method"]) == ("/hello?a=b", "plain.test", "GET")


def test_http_2_in_clear_by_prior_knowledge(ask):
    answer = ask("http://plain.test/hello", "--http2-prior-knowledge")
    assert (answer.status, answer.version, answer.echo["path"]) == (200, "2", "/hello")


def test_an_offer_to_upgrade_to_http_2_in_clear_is_passed_over(ask):
    answer = ask("http://plain.test/hello", "--http2")
    assert (answer.status, answer.version) == (200, "1.1")
    assert "101" not in answer.heads
    assert answer.asked("http2-settings") == ""


def test_http_2_over_tls_where_it_is_offered(ask):
    answer = ask("https://echo.test/", "--http2")
    assert (answer.status, answer.version) == (200, "2")


def test_http_1_1_over_tls_where_nothing_else_is_offered(ask):
    answer = ask("https://echo.test/", "--http1.1")
    assert (answer.status, answer.version) == (200, "1.1")
    assert ask("https://echo.test/", "--no-alpn").version == "1.1"


def test_a_client_of_http_1_0_gets_what_it_can_read(ask):
    answer = ask("http://nginx.test/text.txt", "--http1.0", "--ignore-content-length")
    assert (answer.status, len(answer.body)) == (200, 9500)
    assert answer.field("transfer-encoding") == ""
    assert answer.field("connection") != "keep-alive"


def test_two_requests_share_a_connection(ask):
    answer = ask("http://plain.test/[1-2]", "--http1.1")
    assert [(fact["http_code"], fact["num_connects"]) for fact in answer.all_facts] == [(200, 1), (200, 0)]


def test_fifty_requests_at_once_over_one_connection(files):
    """Streams of HTTP/2 beside each other; each waits for 200 ms, together they take less than five seconds."""
    urls = "https://echo.test/[1-50]?delay=200ms"
    answer = curl(urls, "--http2", "--parallel", "--parallel-max", "50", trust=files / "servers.pem")
    every = [fact for fact in answer.all_facts if fact["http_code"] == 200 and fact["http_version"] == "2"]
    assert len(every) == 50, answer.noise
    assert sum(fact["num_connects"] for fact in every) == 1
    assert max(fact["time_total"] for fact in every) < 5


def test_head_has_no_body_and_the_length_of_one(ask):
    answer = ask("http://nginx.test/large.bin", "--head")
    assert (answer.status, answer.field("content-length"), answer.field("accept-ranges")) == (200, str(64 << 20), "bytes")


def test_options_for_the_whole_server_and_other_odd_requests_do_not_hang(ask):
    assert ask("http://plain.test/", "--request", "OPTIONS", "--request-target", "*").code == 0
    assert ask("http://plain.test/", "--request", "TRACE").status in (405, 400, 501)
    assert ask("http://plain.test/a/../b/./c", "--path-as-is").echo["path"] == "/b/c"


def test_redirects_are_followed_to_https(ask):
    answer = ask("http://plain.test/moved/there?a=b", "--location")
    assert (answer.status, answer.facts["num_redirects"], answer.facts["url_effective"]) == (200, 1, "https://echo.test/now/there?a=b")
    assert answer.echo["path"] == "/now/there?a=b"


def test_after_303_a_post_becomes_a_get_and_after_307_it_stays_one(ask):
    answered = ask("https://echo.test/answered", "--location", "--data", "body")
    assert (answered.status, answered.echo["method"], answered.echo["path"]) == (200, "GET", "/result")
    kept = ask("https://echo.test/kept", "--location", "--data", "body")
    assert (kept.status, kept.echo["method"], kept.asked("content-length")) == (200, "POST", "4")


@pytest.mark.parametrize("path, status", [("echo.test/kept", 307), ("nobody.test/", 404), ("gone.test/", 503), ("authorized.test/", 403)])
def test_an_answer_that_comes_before_the_body_was_sent_is_heard(ask, path, status):
    """Over HTTP/2, where curl takes a stream that is reset while it sends for a failure: time after time it is not."""
    answers = [ask(f"https://{path}", "--http2", "--data", "x" * 20000) for _ in range(15)]
    assert [answer.status for answer in answers] == [status] * 15, answers


def test_a_preflight_is_answered_for_friends_alone(ask):
    preflight = ["--request", "OPTIONS", "--header", "Access-Control-Request-Method: PUT", "--header", "Access-Control-Request-Headers: x-token"]
    friend = ask("https://echo.test/shared", *preflight, "--header", "Origin: https://good.friend.test")
    assert friend.status in (200, 204)
    assert friend.field("access-control-allow-origin") == "https://good.friend.test"
    assert "PUT" in friend.field("access-control-allow-methods") and "x-token" in friend.field("access-control-allow-headers").lower()
    assert (friend.field("access-control-allow-credentials"), friend.field("access-control-max-age")) == ("true", "60")
    stranger = ask("https://echo.test/shared", *preflight, "--header", "Origin: https://friend.test.evil")
    assert stranger.field("access-control-allow-origin") == ""


def test_filters_edit_what_is_asked_and_what_is_answered(ask):
    answer = ask("https://echo.test/edited/on", "--header", "X-Gone: here", "--header", "X-Set: theirs")
    assert (answer.echo["path"], answer.echo["host"]) == ("/on", "inner.test")
    assert (answer.asked("x-set"), answer.asked("x-gone"), answer.field("x-added")) == ("ours", "", "yes")


def test_a_jar_of_cookies_keeps_a_client_with_its_endpoint(ask, files):
    without = {ask("https://echo.test/session").echo["pod"] for _ in range(30)}
    assert without == {"one", "two"}
    jar = files / "jar"
    keeping = ["--cookie", jar, "--cookie-jar", jar]
    first = ask("https://echo.test/session", *keeping)
    assert "place" in jar.read_text()
    assert {ask("https://echo.test/session", *keeping).echo["pod"] for _ in range(15)} == {first.echo["pod"]}


def test_what_fails_is_tried_again_until_an_endpoint_succeeds(ask):
    """Either endpoint fails once: one of them, the other, and again the first or the second."""
    assert ask("https://echo.test/retry/?uuid=one&succeedAfter=1&responseCode=503").status == 200
    assert ask("https://echo.test/retry/?uuid=never&succeedAfter=9&responseCode=503").status == 503


def test_who_waits_too_long_is_told_504(ask):
    answer = ask("https://echo.test/hurry?delay=5s")
    assert answer.status == 504
    assert answer.facts["time_total"] < 3


def test_failures_have_their_codes(ask):
    assert ask("http://gone.test/").status == 503
    assert ask("http://nobody.test/").status == 404
    assert ask("https://echo-wrong.test/").status == 502
    assert ask("https://echo.test/", "--header", "Host: shop.test").status == 421


def test_leave_to_send_a_body_is_waited_for(ask, files):
    answer = ask("http://plain.test/", "--http1.1", "--header", "Expect: 100-continue", "--expect100-timeout", "15", "--data", "x" * 2000)
    assert (answer.status, answer.heads.startswith("HTTP/1.1 100")) == (200, True)
    assert answer.facts["time_total"] < 10
    refused = ask("http://nobody.test/", "--http1.1", "--header", "Expect: 100-continue", "--expect100-timeout", "15", "--data", "x" * 2000)
    assert (refused.status, "HTTP/1.1 100" in refused.heads, refused.facts["size_upload"]) == (404, False, 0)
