"""Image files of more than 8 bits a channel, most of which Pillow does not write."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, TiffImagePlugin

S_MIN, S_MAX = 340, 341
"""Numbers of the fields SMinSampleValue and SMaxSampleValue."""


def tiff(values: np.ndarray, **fields: object) -> bytes:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in fields.items():
        info[{"low": S_MIN, "high": S_MAX}[name]] = value
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF", tiffinfo=info)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(values: np.ndarray, *chunks: bytes) -> bytes:
    """A PNG file of 16 bits a channel: (height, width) or (height, width, channels)."""
    height, width, *channels = values.shape
    color = {(): 0, (3,): 2, (2,): 4, (4,): 6}[tuple(channels)]
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *chunks,
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def tiff_of_colors(
    values: np.ndarray, order: str = "<", compressed: bool = False, **fields: int
) -> bytes:
    """A TIFF file of 16-bit colors, which Pillow does not write, in either byte order."""
    height, width, channels = values.shape
    data = values.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if compressed else data
    tags = {256: width, 257: height, 259: 8 if compressed else 1, 262: 2, 277: channels}
    tags |= {278: height, 279: len(data)} | ({S_MAX: fields["high"]} if fields else {})
    start = 8 + 2 + 12 * (len(tags) + 2) + 4
    tags |= {258: start, 273: start + 2 * channels}
    entries = b"".join(
        struct.pack(f"{order}HHII", tag, 3, channels, value)
        if tag == 258
        else struct.pack(f"{order}HHII", tag, 4, 1, value)
        for tag, value in sorted(tags.items())
    )
    mark = b"II" if order == "<" else b"MM"
    return (
        mark
        + struct.pack(f"{order}HIH", 42, 8, len(tags))
        + entries
        + bytes(4)
        + struct.pack(f"{order}{channels}H", *[16] * channels)
        + data
    )


def ppm(kind: str, most: int, values: np.ndarray) -> bytes:
    height, width = values.shape[:2]
    numbers = values.astype(">u2").tobytes()
    if kind in ("P2", "P3"):
        numbers = " ".join(map(str, values.ravel())).encode()
    return f"{kind}\n{width} {height}\n{most}\n".encode() + numbers
