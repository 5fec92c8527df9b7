"""Calls mosd knowing nothing but its address: services, messages and error details come from
server reflection. Prints one JSON document.

    reflect.py HOST:PORT|unix:PATH FLOW [CA [CERT KEY]]

With the file of a CA, over TLS; with a certificate and its key, as whom it names.
"""

import json
import sys

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2  # noqa: F401  registers the types of error details
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_status import rpc_status

TIMEOUT_S = 10


class Service:
    """One service, by reflection."""

    def __init__(self, channel, pool, name):
        self.channel = channel
        self.descriptor = pool.FindServiceByName(name)

    def call(self, method, request):
        found = self.descriptor.FindMethodByName(method)
        ask = message_factory.GetMessageClass(found.input_type)
        answer = message_factory.GetMessageClass(found.output_type)
        rpc = self.channel.unary_unary(
            f"/{self.descriptor.full_name}/{method}",
            request_serializer=ask.SerializeToString,
            response_deserializer=answer.FromString,
        )
        message = json_format.ParseDict(request, ask())
        return json_format.MessageToDict(rpc(message, timeout=TIMEOUT_S))


def refused(service, method, request):
    """The error that a call ends with, its details decoded."""
    try:
        service.call(method, request)
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        details = [json_format.MessageToDict(detail) for detail in status.details]
        return {"code": error.code().name, "details": details}
    sys.exit(f"{method} should have been refused")


def connect(address, files):
    """A channel to mosd, over TLS where there are files for it."""
    if not files:
        return grpc.insecure_channel(address)
    ca, cert, key = [open(path, "rb").read() for path in files] + [None] * (3 - len(files))
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, cert))


def main():
    address, flow, *files = sys.argv[1:]
    with connect(address, files) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        flows = Service(channel, DescriptorPool(database), "mos.v1.FlowService")
        change = {"flow": flow, "options": {"clientBufferBytes": "32768"}}
        result = {
            "services": list(database.get_services()),
            "list": flows.call("ListFlows", {"pageSize": 3}),
            "set": flows.call("SetSockOpt", change),
            "get": flows.call("GetSockOpt", {"flow": flow}),
            "error": refused(
                flows, "SetSockOpt", {"flow": flow, "options": {"clientBufferBytes": "-1"}}
            ),
        }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
