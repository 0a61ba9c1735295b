"""What wrk is for HTTP: infer on many connections of gRPC, and print the results as JSON.

``python benchmarks/grpc_load.py ADDRESS IMAGE CONNECTIONS SECONDS``
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import grpc
import numpy as np

from ghostnet.serving.rpc.messages import MESSAGES, SERVICE

MODEL = "ghostnet_v1.0_pets"


async def post(channel: grpc.aio.Channel, content: bytes, end: float) -> tuple[list[float], int]:
    """The seconds of each answer on one connection until the end, and how many calls failed."""
    seconds, failed = [], 0
    infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
    while (start := time.perf_counter()) < end:
        try:
            await infer(content)
            seconds.append(time.perf_counter() - start)
        except grpc.RpcError:
            failed += 1
    return seconds, failed


async def load(address: str, image: Path, connections: int, duration: float) -> dict[str, float]:
    tensor = {"name": "encoded_images", "datatype": "BYTES", "shape": [1]}
    tensor["contents"] = {"bytes_contents": [image.read_bytes()]}
    request = MESSAGES["ModelInferRequest"](model_name=MODEL, inputs=[tensor])
    content = request.SerializeToString()
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options) for _ in range(connections)]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
    start = time.perf_counter()
    posting = [post(channel, content, start + duration) for channel in channels]
    results = await asyncio.gather(*posting)
    answered = [second for seconds, _ in results for second in seconds]
    p50, p99 = np.percentile(answered, (50, 99)) * 1000
    failed = sum(failed for _, failed in results)
    return {
        "requests": len(answered) + failed,
        "seconds": time.perf_counter() - start,
        "p50_ms": p50,
        "p99_ms": p99,
        "failed": failed,
    }


if __name__ == "__main__":
    address, image, connections, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(load(address, Path(image), int(connections), float(seconds)))))
