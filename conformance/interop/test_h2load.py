"""h2load, which asks for as much as it can: many connections, and on each of them many streams.

nginx ends a connection after a thousand requests, over HTTP/2 too. The echo server's port for HTTP/2 in clear is left out: it gives a
connection one second for its beginning, which is too little on a busy machine.
"""

import json
import re
import subprocess

import pytest


@pytest.mark.parametrize("url", ["http://plain.test/", "https://echo.test/", "https://nginx.test/text.txt", "https://nginx-tls.test/"])
def test_every_request_of_many_over_many_streams_is_answered(scene, url):
    ran = subprocess.run(["h2load", "--requests", "2000", "--clients", "10", "--max-concurrent-streams", "100", url],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=50)
    faults = {json.loads(line).get("fault") for line in scene.log("gateway").splitlines() if '"status":50' in line}
    assert "2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout" in ran.stdout, f"{faults}\n{ran.stdout[-600:]}"
    assert re.search(r"status codes: 2000 2xx", ran.stdout)
