"""Answers that come piece by piece, and those of servers that know no better than HTTP/1.0; the clients are curl's."""

import subprocess

import pytest

from clients import curl

VERSIONS = [("http://events.test", "--http1.1"), ("http://events.test", "--http2-prior-knowledge"), ("https://events.test", "--http1.1"),
            ("https://events.test", "--http2")]
versions = pytest.mark.parametrize("origin, version", VERSIONS, ids=["http1", "h2c", "https1", "h2"])


@versions
def test_an_event_arrives_before_the_next_is_sent_and_the_server_learns_when_the_client_leaves(files, events, origin, version):
    command = ["curl", "--silent", "--no-buffer", "--max-time", "30", "--cacert", files / "servers.pem", version, f"{origin}/"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        numbers = []
        for _ in range(5):
            events.next.release()
            line = next(line for line in client.stdout if line.startswith(b"data: "))
            numbers.append(int(line.removeprefix(b"data: ")))
        assert numbers == sorted(set(numbers))
        client.terminate()
    assert events.left.wait(10)


@versions
def test_an_answer_that_ends_with_its_connection_is_whole(files, origin, version):
    answer = curl(f"{origin}/old", version, trust=files / "servers.pem")
    assert (answer.code, answer.status, answer.body) == (0, 200, b"old\n" * 100_000)
    posted = curl(f"{origin}/old", version, "--data", "abc", trust=files / "servers.pem")
    assert (posted.code, posted.text) == (0, "cba")
