#!/usr/bin/env python3
"""Gives every flow to a port a larger client buffer as it comes, whatever becomes of mosd.

    pip install grpcio grpcio-reflection
    orchestrate.py HOST:PORT SERVER_PORT BYTES

Where the connection is lost, it goes on from the last bookmark. After a restart of mosd, or where it
was away too long, mosd says so and tells all flows again. Ends on Ctrl-C.
"""

import sys
import time

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

PATIENCE_SECONDS = 1
FLOW_IS_GONE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)


class Flows:
    """The methods of FlowService, by reflection."""

    def __init__(self, channel):
        self.channel = channel
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        self.service = pool.FindServiceByName("mos.v1.FlowService")

    def call(self, name, kind, timeout=None, **fields):
        method = self.service.FindMethodByName(name)
        ask, answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        path = f"/{self.service.full_name}/{name}"
        rpc = getattr(self.channel, kind)(path, ask.SerializeToString, answer.FromString)
        return rpc(ask(**fields), timeout=timeout)


def follow(flows, server_port, size, token):
    """Changes flows until the stream ends. Yields the bookmark of each safe point."""
    want = f"server.port = {server_port}"
    for message in flows.call("WatchFlows", "unary_stream", filter=want, resume_token=token):
        what = message.WhichOneof("message")
        if what == "bookmark" and message.bookmark.resume_token:
            yield message.bookmark.resume_token
        if what != "update" or message.update.cause:
            continue
        flow = message.update.flow
        if flow.options.client_buffer_bytes == size:
            continue
        try:
            options = {"client_buffer_bytes": size}
            flows.call("SetSockOpt", "unary_unary", 10, flow=flow.name, options=options)
            print(flow.name, flush=True)
        except grpc.RpcError as error:
            if error.code() not in FLOW_IS_GONE:
                raise


def main(address, server_port, size):
    token = ""
    while True:
        try:
            with grpc.insecure_channel(address) as channel:
                for token in follow(Flows(channel), server_port, int(size), token):
                    pass
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}; again", file=sys.stderr, flush=True)
        time.sleep(PATIENCE_SECONDS)


main(*sys.argv[1:])
