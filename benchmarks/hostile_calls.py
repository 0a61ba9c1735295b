"""Calls of gRPC that try to take a server's memory or time; ``hostile_requests.py`` for HTTP."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
from hostile_requests import BODY, TIMEOUT_SECONDS, image

from ghostnet.serving.rpc.messages import MESSAGES, SERVICE

PATH = f"/{SERVICE}/ModelInfer"
SILENCE_SECONDS = 1
IMAGE_SHAPE = (3, 224, 224)
IMAGE_VALUES = 3 * 224 * 224

Call = Callable[[grpc.Channel], str]
"""Makes a call, and returns the name of its status."""


def connect(address: str) -> grpc.Channel:
    """A connection of its own, on which large messages may be sent."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    return grpc.insecure_channel(address, options)


def message(model: str, name: str, datatype: str, *shape: int, **fields: Any) -> bytes:
    """A request with one tensor."""
    contents = {"contents": fields.pop("contents")} if "contents" in fields else {}
    tensor = {"name": name, "datatype": datatype, "shape": shape, **contents}
    request = MESSAGES["ModelInferRequest"](model_name=model, inputs=[tensor], **fields)
    return request.SerializeToString()


def of_files(model: str, *files: bytes) -> bytes:
    """A request with image files."""
    contents = {"bytes_contents": files}
    return message(model, "encoded_images", "BYTES", len(files), contents=contents)


def send(content: bytes, channel: grpc.Channel, **settings: Any) -> str:
    """Infer; returns the name of the status."""
    try:
        channel.unary_unary(PATH)(content, **{"timeout": TIMEOUT_SECONDS, **settings})
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def keep_silent(channel: grpc.Channel) -> str:
    """Begin a call, and send no message."""

    def messages() -> Iterator[bytes]:
        time.sleep(SILENCE_SECONDS)
        yield from ()

    try:
        channel.stream_unary(PATH)(messages(), timeout=TIMEOUT_SECONDS)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def calls(model: str) -> dict[str, Call]:
    """Hostile calls by name."""
    palette = of_files(model, image("P", 9990, "PNG"))
    count = BODY // (4 * IMAGE_VALUES)
    floats = partial(message, model, "images", "FP32", count, *IMAGE_SHAPE)
    zeros = bytes(4 * count * IMAGE_VALUES)
    numbers = floats(contents={"fp32_contents": [0.0] * (count * IMAGE_VALUES)})
    contents = {
        "no image": of_files(model, b"no image" + bytes(BODY - 2**10)),
        "palette of 9990 × 9990": palette,
        "empty files": of_files(model, *[b""] * (BODY // 2 - 2**10)),
        "zeros": floats(raw_input_contents=[zeros]),
        "numbers": numbers,
        "more than is allowed": bytes(2 * BODY),
    }
    headers = (("x", "y" * 2**20),)
    return {
        **{name: partial(send, content) for name, content in contents.items()},
        "zeros in gzip": partial(send, bytes(4 * BODY), compression=grpc.Compression.Gzip),
        "headers of 1 MiB": partial(send, palette, metadata=headers),
        "left at once": partial(send, palette, timeout=0.05),
        "silence": keep_silent,
    }
