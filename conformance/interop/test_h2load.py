"""h2load, which asks for as much as it can: many connections, and on each of them many streams."""

import re
import subprocess

import pytest


@pytest.mark.parametrize("url", ["http://plain.test/", "https://echo.test/", "https://echo-h2c.test/", "https://nginx.test/text.txt"])
def test_every_request_of_many_over_many_streams_is_answered(url):
    ran = subprocess.run(["h2load", "--requests", "2000", "--clients", "10", "--max-concurrent-streams", "100", url],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=50)
    assert "2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout" in ran.stdout, ran.stdout[-600:]
    assert re.search(r"status codes: 2000 2xx", ran.stdout)
