"""What the cases find: servers that are not ours behind the gateway, proxies in front of it, certificates, and the gateway itself.

All start once, when the first case is run, and end with it. Which address is whose is told by manifests/backends.yaml and hosts.
"""

import json
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
import trustme

import calls_server
import events_server
import talk_server

CASES = Path(__file__).parent


def pytest_report_teststatus(report):
    """A case is a sentence: it is so, or it is not."""
    if report.passed and report.when == "call":
        return "passed", ".", "ok"
    if report.failed:
        return "failed", "F", "NOT SO"
    return None


@pytest.fixture(scope="session", autouse=True)
def scene(tmp_path_factory):
    """Everything that runs beside the cases."""
    files = tmp_path_factory.mktemp("scene")
    scene = Scene(files)
    try:
        try:
            scene.certify()
            scene.start_servers()
            scene.start_gateway()
        except AssertionError as missing:
            pytest.exit(f"{missing}\n{scene.epitaphs()}", 1)
        yield scene
        scene.gateway_still_serves()
    finally:
        scene.end()


@pytest.fixture(scope="session")
def files(scene):
    """The folder of this run: certificates as NAME.pem and NAME.key, authorities as NAME.pem."""
    return scene.files


@pytest.fixture(scope="session")
def calls(scene):
    """The gRPC server of Python."""
    return scene.calls


@pytest.fixture(scope="session")
def talk(scene):
    """The WebSocket server of Python."""
    return scene.talk


@pytest.fixture(scope="session")
def events(scene):
    """The servers of Python's own library."""
    return scene.events


class Scene:
    def __init__(self, files: Path):
        self.files = files
        self.running: list[tuple[str, subprocess.Popen]] = []
        self.calls = None
        self.talk = None
        self.events = None
        self.gateway: subprocess.Popen | None = None

    def certify(self):
        """Authorities, and who is certified by them."""
        self.servers, self.clients, self.strangers = trustme.CA(), trustme.CA(), trustme.CA()
        for name in ("servers", "clients", "strangers"):
            getattr(self, name).cert_pem.write_to_path(self.files / f"{name}.pem")
        names = {name for line in (CASES / "hosts").read_text().splitlines() for name in line.split()[1:] if name.endswith(".test")}
        self.issue(self.servers, "all", *sorted(names))
        self.issue(self.servers, "wild", "*.wild.test")
        self.issue(self.servers, "shop-ecdsa", "shop.test")
        self.issue(self.servers, "shop-rsa", "shop.test", key_type=trustme.KeyType.RSA)
        self.issue(self.servers, "ended", "ended.test")
        self.issue(self.servers, "nginx", "nginx.interop", "passed.test")
        self.issue(self.servers, "echo", "echo.interop")
        self.issue(self.servers, "talk", "talk.interop")
        self.issue(self.servers, "ourselves", "gateway.interop")
        self.issue(self.clients, "client", "client.test")
        self.issue(self.strangers, "stranger", "client.test")
        maps = [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "interop"},
             "data": {"ca.crt": (self.files / f"{name}.pem").read_text()}}
            for name in ("servers", "clients")
        ]
        (self.files / "authorities.yaml").write_text("\n---\n".join(json.dumps(each) for each in maps))

    def issue(self, authority, name, *hosts, **kind):
        issued = authority.issue_cert(*hosts, common_name=f"{name} of interop", **kind)
        issued.private_key_pem.write_to_path(self.files / f"{name}.key")
        chain = self.files / f"{name}.pem"
        for place, part in enumerate(issued.cert_chain_pems):
            part.write_to_path(chain, append=place > 0)

    def start_servers(self):
        www = self.files / "www"
        (www / "put").mkdir(parents=True)
        (www / "large.bin").write_bytes(os.urandom(1 << 20) * 64)
        (www / "text.txt").write_text("to be or not to be\n" * 500)
        for folder in ("knot", "body"):
            (self.files / folder).mkdir()

        self.start("nginx", "nginx", "-e", "stderr", "-p", self.files, "-c", self.filled("nginx.conf"))
        self.start("haproxy", "haproxy", "-db", "-f", self.filled("haproxy.cfg"))
        self.start("knot", "knotd", "-c", self.filled("knot.conf"))
        tls = {"TLS_SERVER_CERT": self.files / "echo.pem", "TLS_SERVER_PRIVKEY": self.files / "echo.key",
               "TLS_SERVER_PRIV_KEY": self.files / "echo.key", "TLS_CLIENT_CACERTS": self.files / "servers.pem"}
        self.echo("one", HTTP_PORT=3000, H2C_PORT=3001, HTTPS_PORT=3443, **tls)
        self.echo("two", HTTP_PORT=3100, H2C_PORT=3101, HTTPS_PORT=3543, **tls)
        self.echo("calls", GRPC_ECHO_SERVER=1, HTTP_PORT=3200, HTTPS_PORT=3643, **tls)
        self.echo("bytes", TCP_ECHO_SERVER=1, TCP_PORT=3300, TLS_PORT=3743, **tls)
        self.echo("datagrams", UDP_ECHO_SERVER=1, UDP_PORT=3400)
        self.calls = calls_server.Calls("192.0.2.40:50051")
        self.talk = talk_server.Talk("192.0.2.41", self.files / "talk.pem", self.files / "talk.key")
        self.events = events_server.Events("192.0.2.42")
        for port in (3000, 3001, 3443, 3100, 3101, 3543, 3200, 3643, 3300):
            wait_for(f"echo server at port {port}", lambda port=port: connects("192.0.2.31", port))
        for address, port in (("192.0.2.10", 80), ("192.0.2.10", 443), ("192.0.2.51", 80), ("192.0.2.52", 80), ("192.0.2.20", 53)):
            wait_for(f"{address}:{port}", lambda address=address, port=port: connects(address, port))

    def start_gateway(self):
        secrets = ("all", "wild", "shop-ecdsa", "shop-rsa", "ended", "ourselves")
        flags = [flag for name in secrets
                 for flag in ("--secret", f"interop/{name}={self.files}/{name}.pem,{self.files}/{name}.key")]
        manifests = [CASES / "manifests", self.files / "authorities.yaml"]
        judged = subprocess.run([os.environ["PROGRAM"], "validate", *manifests, *flags], capture_output=True, text=True, timeout=20)
        assert judged.returncode == 0, f"the manifests are not in order: {judged.stderr}{judged.stdout}"
        self.gateway = self.start("gateway", os.environ["PROGRAM"], "run", *manifests, "--address", "192.0.2.1", *flags)
        self.start("gateway-ipv6", os.environ["PROGRAM"], "run", CASES / "manifests-ipv6", "--admin", "[::]:9902", *flags[:2])
        for admin in ("127.0.0.1:9901", "127.0.0.1:9902"):
            wait_for("the gateway", lambda admin=admin: fetched("/readyz", admin) is not None)

    def echo(self, name, **settings):
        environment = {key: str(value) for key, value in settings.items()} | {"POD_NAME": name, "NAMESPACE": "interop"}
        self.start(f"echo-{name}", os.environ["ECHO_SERVER"], env=os.environ | environment)

    def start(self, name, *command, **more):
        """Starts a process that writes into the file NAME.log."""
        with open(self.files / f"{name}.log", "wb") as log:
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more)
        self.running.append((name, process))
        return process

    def filled(self, name):
        """A file of servers/ with the folder of this run put in."""
        text = (CASES / "servers" / name).read_text().replace("%FILES%", str(self.files)).replace("%CASES%", str(CASES))
        (self.files / name).write_text(text)
        return self.files / name

    def log(self, name):
        return (self.files / f"{name}.log").read_text(errors="replace")

    def epitaphs(self):
        """The last words of whoever ended."""
        return "\n".join(f"{name} ended: {self.log(name)[-1000:]}" for name, process in self.running if process.poll() is not None)

    def gateway_still_serves(self):
        assert self.gateway.poll() is None, f"the gateway ended with status {self.gateway.poll()}:\n{self.log('gateway')[-2000:]}"
        assert " panic" not in self.log("gateway"), self.log("gateway")[-2000:]

    def end(self):
        for server in (self.calls, self.talk, self.events):
            if server:
                server.end()
        for _, process in reversed(self.running):
            process.terminate()
        for _, process in self.running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(what, ready, seconds=20):
    """Asks until it is so; there is a bound."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what}: not ready after {seconds} s"
        time.sleep(0.02)


def connects(address, port):
    try:
        socket.create_connection((address, port), timeout=1).close()
        return True
    except OSError:
        return False


def fetched(path, admin="127.0.0.1:9901"):
    """What a gateway's admin server says."""
    try:
        with urllib.request.urlopen(f"http://{admin}{path}", timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return None
