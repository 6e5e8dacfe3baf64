"""The programs that the cases start, and what they say."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(repr=False)
class Answer:
    """What curl was told."""

    status: int
    version: str            # of HTTP: 1, 1.1 or 2
    fields: list            # of the last head: names in lower case, and values
    body: bytes
    heads: str              # all heads, those of interim answers and redirects too
    all_facts: list         # curl's own, for each transfer: times, sizes, counts
    code: int               # curl's exit code
    noise: str              # what it said on its standard error

    def __repr__(self):
        return f"<curl {self.code} {self.noise.strip()!r}: {self.heads!r} {self.body[:300]!r}>"

    @property
    def facts(self):
        return self.all_facts[-1]

    @property
    def text(self):
        return self.body.decode()

    @property
    def echo(self):
        """What the upstream suite's echo server was asked."""
        return json.loads(self.body)

    def field(self, name):
        return ", ".join(value for key, value in self.fields if key == name)

    def asked(self, name):
        """A field that the echo server was sent."""
        return ", ".join(self.echo["headers"].get(name.title(), []))


def curl(url, *arguments, trust=None, input=None) -> Answer:
    """Runs curl once, trusting this authority alone."""
    with tempfile.TemporaryDirectory() as folder:
        head, body = Path(folder, "head"), Path(folder, "body")
        command = ["curl", "--silent", "--show-error", "--max-time", "30", "--dump-header", head, "--output", body, "--write-out", "%{json}\n"]
        command += ["--cacert", trust] if trust else []
        ran = subprocess.run([*command, *arguments, url], input=input, capture_output=True, timeout=35)
        heads = head.read_bytes().decode("latin-1") if head.exists() else ""
        facts = [json.loads(line) for line in ran.stdout.splitlines()]
        last = heads.strip().split("\r\n\r\n")[-1].split("\r\n")[1:]
        pairs = (line.partition(":") for line in last)
        fields = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
        return Answer(facts[-1]["http_code"], facts[-1]["http_version"], fields, body.read_bytes() if body.exists() else b"", heads, facts,
                      ran.returncode, ran.stderr.decode(errors="replace"))


def openssl(*arguments, host="echo.test", port=443, say=b"", trust) -> str:
    """A connection by `openssl s_client`; what it wrote, both streams."""
    command = ["openssl", "s_client", "-connect", f"192.0.2.1:{port}", "-CAfile", trust, "-verify_return_error"]
    command += ["-servername", host, "-verify_hostname", host] if host else ["-noservername"]
    ran = subprocess.run([*command, *arguments], input=say, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
    return ran.stdout.decode(errors="replace")


def kdig(*arguments) -> str:
    """An answer of a name server, by Knot's kdig."""
    command = ["kdig", "@192.0.2.1", "+time=3", "+retry=0", *arguments]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=15)
    return ran.stdout.decode(errors="replace")
