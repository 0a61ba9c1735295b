"""The messages of the Open Inference Protocol's service, which gRPC sends.

Their names, fields and numbers are those of the protocol and of Triton's extensions to it. Messages
that the protocol nests in others stand beside them, and a map is a list of its entries: the bytes
are the same.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"

NAMED = "string name = 1; string version = 2"
CHANGED = "string repository_name = 1; string model_name = 2"
TENSOR = "string name = 1; string datatype = 2; repeated int64 shape = 3"

FIELDS = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live = 1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready = 1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": f"{NAMED}; repeated string extensions = 3",
    "ModelReadyRequest": NAMED,
    "ModelReadyResponse": "bool ready = 1",
    "ModelMetadataRequest": NAMED,
    "ModelMetadataResponse": "string name = 1; repeated string versions = 2; string platform = 3; "
    "repeated TensorMetadata inputs = 4; repeated TensorMetadata outputs = 5",
    "TensorMetadata": TENSOR,
    "ModelInferRequest": "string model_name = 1; string model_version = 2; string id = 3; "
    "repeated Parameter parameters = 4; repeated InputTensor inputs = 5; "
    "repeated RequestedOutput outputs = 6; repeated bytes raw_input_contents = 7",
    "InputTensor": f"{TENSOR}; repeated Parameter parameters = 4; Contents contents = 5",
    "RequestedOutput": "string name = 1; repeated Parameter parameters = 2",
    "Parameter": "string key = 1; ParameterValue value = 2",
    "ParameterValue": "oneof bool bool_param = 1; oneof int64 int64_param = 2; "
    "oneof string string_param = 3; oneof double double_param = 4; oneof uint64 uint64_param = 5",
    "Contents": "repeated float fp32_contents = 6; repeated bytes bytes_contents = 8",
    "ModelInferResponse": "string model_name = 1; string model_version = 2; string id = 3; "
    "repeated OutputTensor outputs = 5; repeated bytes raw_output_contents = 6",
    "OutputTensor": f"{TENSOR}; Contents contents = 5",
    "ModelConfigRequest": NAMED,
    "ModelConfigResponse": "Configuration config = 1",
    "Configuration": "string name = 1; string platform = 2; int32 max_batch_size = 4; "
    "repeated InputConfiguration input = 5; repeated OutputConfiguration output = 6; "
    "string backend = 17",
    "InputConfiguration": "string name = 1; DataType data_type = 2; repeated int64 dims = 4",
    "OutputConfiguration": "string name = 1; DataType data_type = 2; repeated int64 dims = 3",
    "ModelStatisticsRequest": NAMED,
    "ModelStatisticsResponse": "repeated Statistics model_stats = 1",
    "Statistics": f"{NAMED}; uint64 inference_count = 4; uint64 execution_count = 5; "
    "Durations inference_stats = 6",
    "Durations": "Duration compute_infer = 5",
    "Duration": "uint64 count = 1; uint64 ns = 2",
    "RepositoryIndexRequest": "string repository_name = 1; bool ready = 2",
    "RepositoryIndexResponse": "repeated ModelIndex models = 1",
    "ModelIndex": f"{NAMED}; string state = 3; string reason = 4",
    "RepositoryModelLoadRequest": CHANGED,
    "RepositoryModelLoadResponse": "",
    "RepositoryModelUnloadRequest": CHANGED,
    "RepositoryModelUnloadResponse": "",
}
"""The fields of each message, as a ``.proto`` file writes them."""

DATA_TYPES = {"TYPE_INVALID": 0, "TYPE_FP32": 11, "TYPE_STRING": 13}
"""The numbers of the data types in a configuration."""

FIELD = re.compile(r"(?:(repeated|oneof) )?(\w+) (\w+) = (\d+)")

PLAIN = {
    name: getattr(FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("bool", "bytes", "double", "float", "int32", "int64", "string", "uint64")
}
"""The types of fields that are not messages."""


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name=f"{PACKAGE}.proto", package=PACKAGE, syntax="proto3")
    values = [{"name": name, "number": number} for name, number in DATA_TYPES.items()]
    file.enum_type.add(name="DataType", value=values)
    for name, text in FIELDS.items():
        message = file.message_type.add(name=name, field=_fields(text))
        if "oneof" in text:
            message.oneof_decl.add(name="choice")
    return file


def _fields(text: str) -> Iterator[FieldDescriptorProto]:
    for label, kind, name, number in FIELD.findall(text):
        field = FieldDescriptorProto(name=name, number=int(number))
        is_repeated = label == "repeated"
        field.label = field.LABEL_REPEATED if is_repeated else field.LABEL_OPTIONAL
        if label == "oneof":
            field.oneof_index = 0
        if kind in PLAIN:
            field.type = PLAIN[kind]
        else:
            field.type_name = f".{PACKAGE}.{kind}"
        yield field


def _classes() -> Mapping[str, Any]:
    pool = DescriptorPool()  # of its own: a client in the same process may have these names, too
    pool.AddSerializedFile(_file().SerializeToString())
    found = {name: pool.FindMessageTypeByName(f"{PACKAGE}.{name}") for name in FIELDS}
    return {name: GetMessageClass(descriptor) for name, descriptor in found.items()}


MESSAGES = _classes()
"""The classes of the messages, by name."""
