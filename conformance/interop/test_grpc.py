"""grpcio, calling a server of its own and the upstream suite's echo server, in clear and over TLS."""

import time

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from conftest import wait_for


@pytest.fixture(params=["clear", "tls"])
def channel(request, files):
    """A channel to calls.test, over HTTP/2 in clear or over TLS."""
    with dial("calls.test", files if request.param == "tls" else None) as channel:
        yield channel


def dial(host, files=None):
    large = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    if files is None:
        return grpc.insecure_channel(f"{host}:80", options=large)
    return grpc.secure_channel(f"{host}:443", grpc.ssl_channel_credentials((files / "servers.pem").read_bytes()), options=large)


def code_of(call, *arguments, **more):
    """How a call fails."""
    with pytest.raises(grpc.RpcError) as failure:
        list(call) if hasattr(call, "__next__") else call(*arguments, timeout=10, **more)
    return failure.value


def test_a_call_carries_metadata_both_ways(channel, calls):
    answer, call = channel.unary_unary("/interop.Talk/Say").with_call(b"hello", timeout=10, metadata=[("x-who", "me"), ("x-raw-bin", b"\x00\x01")])
    assert answer == b"hello"
    assert (calls.seen["Say"]["x-who"], calls.seen["Say"]["x-raw-bin"]) == ("me", b"\x00\x01")
    assert dict(call.initial_metadata())["x-first"] == "1"
    last = dict(call.trailing_metadata())
    assert (last["x-last"], last["x-last-bin"]) == ("2", b"\x00\xff")


def test_a_server_streams(channel):
    call = channel.unary_stream("/interop.Talk/Count")(b"1000", timeout=20)
    assert [int(message) for message in call] == list(range(1000))
    assert dict(call.trailing_metadata())["x-last"] == "counted"


def test_a_client_streams(channel):
    assert channel.stream_unary("/interop.Talk/Join")((b"%d," % number for number in range(1000)), timeout=20).count(b",") == 1000


def test_both_stream_and_every_message_is_answered_before_the_next_is_sent(channel):
    asked = iter(["a", "b", "c"])
    answered = []

    def say():
        for number, word in enumerate(asked):
            wait_for("the answer before", lambda number=number: len(answered) == number)
            yield word.encode()

    for message in channel.stream_stream("/interop.Talk/Chat")(say(), timeout=20):
        answered.append(message)
    assert answered == [b"A", b"B", b"C"]


def test_failures_of_the_server_arrive_with_their_words_and_trailers(channel):
    failure = code_of(channel.unary_unary("/interop.Talk/Fail"), "weiß – 100 %".encode())
    assert (failure.code(), failure.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "weiß – 100 %")
    assert dict(failure.trailing_metadata())["x-why"] == "asked"
    call = channel.unary_stream("/interop.Talk/FailLate")(b"lost", timeout=10)
    assert next(call) == b"one"
    failure = code_of(call)
    assert (failure.code(), failure.details()) == (grpc.StatusCode.DATA_LOSS, "lost")


def test_failures_of_the_gateway_are_told_as_calls_are(channel):
    assert code_of(channel.unary_unary("/interop.Gone/Say"), b"").code() == grpc.StatusCode.UNAVAILABLE
    assert code_of(channel.unary_unary("/interop.Nobody/Say"), b"").code() == grpc.StatusCode.UNIMPLEMENTED
    assert code_of(channel.unary_unary("/interop.Talk/Nothing"), b"").code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_deadline_ends_the_call_on_both_sides(channel, calls):
    began = time.monotonic()
    call = channel.unary_stream("/interop.Talk/Linger")(b"", timeout=1)
    assert next(call) == b"here"
    assert 0 < calls.seen["Linger"][":time"] <= 1
    assert code_of(call).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 4
    assert calls.ended.wait(10)


def test_a_call_that_the_client_cancels_ends_at_the_server(channel, calls):
    call = channel.unary_stream("/interop.Talk/Linger")(b"", timeout=30)
    assert next(call) == b"here"
    call.cancel()
    assert calls.ended.wait(10)


def test_large_messages_pass_both_ways(channel):
    message = bytes(range(256)) * (8 << 12)      # 8 MiB
    assert channel.unary_unary("/interop.Talk/Say")(message, timeout=30) == message
    assert channel.unary_unary("/interop.Talk/Say")(message, timeout=30, compression=grpc.Compression.Gzip) == message


def test_more_calls_at_once_than_a_connection_takes(channel):
    """A hundred streams are open on a connection at most; a client of grpcio waits with the others."""
    say = channel.unary_unary("/interop.Talk/Say")
    calls = [say.future(b"%d" % number, timeout=30) for number in range(400)]
    assert [int(call.result()) for call in calls] == list(range(400))


def test_a_client_that_pings_all_the_time_is_borne(files):
    """Ten times a second for three seconds, with nothing but pings on the connection."""
    options = [("grpc.keepalive_time_ms", 100), ("grpc.keepalive_timeout_ms", 1000), ("grpc.http2.max_pings_without_data", 0),
               ("grpc.keepalive_permit_without_calls", 1)]
    with grpc.insecure_channel("calls.test:80", options=options) as channel:
        call = channel.unary_stream("/interop.Talk/Linger")(b"", timeout=3)
        assert next(call) == b"here"
        assert code_of(call).code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert channel.unary_unary("/interop.Talk/Say")(b"on", timeout=5) == b"on"


@pytest.mark.parametrize("host, backend_has_tls", [("calls-echo.test", False), ("calls-echo-tls.test", True)])
def test_the_upstream_suites_server_tells_its_service_by_reflection_and_echoes(files, host, backend_has_tls):
    with dial(host, files) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        service = pool.FindServiceByName("gateway_api_conformance.echo_basic.grpcecho.GrpcEcho")
        method = service.FindMethodByName("Echo")
        ask, answer = (message_factory.GetMessageClass(kind) for kind in (method.input_type, method.output_type))
        echo = channel.unary_unary(f"/{service.full_name}/Echo", ask.SerializeToString, answer.FromString)
        said = echo(ask(), timeout=10, metadata=[("x-who", "me")]).assertions
        assert said.fully_qualified_method == f"/{service.full_name}/Echo"
        assert said.authority == f"{host}:443"
        assert ("x-who", "me") in [(header.key, header.value) for header in said.headers]
        if backend_has_tls:
            assert (said.tls_assertions.server_name, said.tls_assertions.negotiated_protocol) == ("echo.interop", "h2")
        else:
            assert not said.HasField("tls_assertions")
