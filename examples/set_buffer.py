#!/usr/bin/env python3
"""Gives an SSH session a larger client buffer, and reads it back: by reflection, without stubs.

    pip install grpcio grpcio-reflection
    set_buffer.py HOST:PORT BYTES
"""

import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

address, size = sys.argv[1:]
channel = grpc.insecure_channel(address)
pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
service = pool.FindServiceByName("mos.v1.FlowService")


def call(name, **fields):
    method = service.FindMethodByName(name)
    ask, answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    path = f"/{service.full_name}/{name}"
    rpc = channel.unary_unary(path, ask.SerializeToString, answer.FromString)
    return rpc(ask(**fields), timeout=10)


found = call("ListFlows", filter="client_state = ESTABLISHED AND server.port = 22", page_size=1)
flow = found.flows[0].name
call("SetSockOpt", flow=flow, options={"client_buffer_bytes": int(size)})
print(flow, call("GetSockOpt", flow=flow).options.client_buffer_bytes)
