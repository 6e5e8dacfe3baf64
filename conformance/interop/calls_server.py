"""A gRPC server of grpcio: every kind of call, with bytes for messages, and who is asked whether a request may pass (Envoy's `ext_authz`)."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc
from google.rpc import code_pb2, status_pb2


class Calls:
    def __init__(self, address):
        self.seen = {}                       # metadata of the last call, by method
        self.ended = threading.Event()       # the last call of Linger is over, as the server sees it
        self.server = grpc.server(ThreadPoolExecutor(64), options=[("grpc.max_receive_message_length", -1)])
        self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("interop.Talk", {
            "Say": grpc.unary_unary_rpc_method_handler(self.say),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Join": grpc.stream_unary_rpc_method_handler(self.join),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "FailLate": grpc.unary_stream_rpc_method_handler(self.fail_late),
            "Linger": grpc.unary_stream_rpc_method_handler(self.linger),
        })])
        external_auth_pb2_grpc.add_AuthorizationServicer_to_server(Doorkeeper(), self.server)
        assert self.server.add_insecure_port(address)
        self.server.start()

    def end(self):
        self.server.stop(0).wait(5)

    def say(self, message, context):
        self.note("Say", context)
        context.send_initial_metadata([("x-first", "1")])
        context.set_trailing_metadata([("x-last", "2"), ("x-last-bin", b"\x00\xff")])
        return message

    def count(self, message, context):
        self.note("Count", context)
        for number in range(int(message)):
            yield str(number).encode()
        context.set_trailing_metadata([("x-last", "counted")])

    def join(self, messages, context):
        self.note("Join", context)
        return b"".join(messages)

    def chat(self, messages, context):
        self.note("Chat", context)
        for message in messages:
            yield message.upper()

    def fail(self, message, context):
        context.set_trailing_metadata([("x-why", "asked")])
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, message.decode())

    def fail_late(self, message, context):
        yield b"one"
        context.abort(grpc.StatusCode.DATA_LOSS, message.decode())

    def linger(self, message, context):
        """Says one thing and nothing more, until the call ends, or for twenty seconds."""
        self.ended.clear()
        context.add_callback(self.ended.set)
        self.note("Linger", context)
        yield b"here"
        self.ended.wait(20)

    def note(self, method, context):
        self.seen[method] = {key: value for key, value in context.invocation_metadata()} | {
            ":time": context.time_remaining()}


class Doorkeeper(external_auth_pb2_grpc.AuthorizationServicer):
    """Lets those in who say please, and tells the backend who they are."""

    def Check(self, request, context):
        asked = request.attributes.request.http
        answer = external_auth_pb2.CheckResponse()
        if asked.headers.get("x-word") == "please":
            answer.status.CopyFrom(status_pb2.Status(code=code_pb2.OK))
            header = answer.ok_response.headers.add()
            header.header.key, header.header.value = "x-guest", f"{asked.method} {asked.path}"
        else:
            answer.status.CopyFrom(status_pb2.Status(code=code_pb2.PERMISSION_DENIED))
            answer.denied_response.status.code = 403
            answer.denied_response.body = "say please"
            header = answer.denied_response.headers.add()
            header.header.key, header.header.value = "x-hint", "please"
        return answer
