"""A gRPC server that echoes bytes in every way, on $PORT: /any.Service/{Unary,Client,Server,Both}.

/any.Service/Fail ends the first two calls of a message with the status that the message names, then answers `served`;
/any.Service/Slow answers after a minute.
"""

import os
import threading
from collections import Counter
from concurrent import futures

import grpc

failed = Counter()
lock = threading.Lock()


def fail(request, context):
    with lock:
        failed[request] += 1
        count = failed[request]
    if count <= 2:
        name = request.decode().partition(" ")[0]
        context.abort(grpc.StatusCode[name], "as it was asked for")
    return b"served"


def slow(request, context):
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait(60)
    return b"late"


def unary(request, context):
    seen = dict(context.invocation_metadata())
    context.set_trailing_metadata([("x-trailer", seen.get("x-asked", "none"))])
    return request


class Calls(grpc.GenericRpcHandler):
    def service(self, details):
        kind = details.method.rpartition("/")[2]
        return {
            "Unary": lambda: grpc.unary_unary_rpc_method_handler(unary),
            "Client": lambda: grpc.stream_unary_rpc_method_handler(lambda parts, _: b"".join(parts)),
            "Server": lambda: grpc.unary_stream_rpc_method_handler(lambda part, _: iter([part] * 3)),
            "Both": lambda: grpc.stream_stream_rpc_method_handler(lambda parts, _: parts),
            "Fail": lambda: grpc.unary_unary_rpc_method_handler(fail),
            "Slow": lambda: grpc.unary_unary_rpc_method_handler(slow),
        }[kind]()


server = grpc.server(futures.ThreadPoolExecutor(16), handlers=[Calls()])
server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
server.start()
server.wait_for_termination()
