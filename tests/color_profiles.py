"""Small ICC profiles: of three primaries, of gray values, and of inks."""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)

PROPHOTO = (0.7977, 0.2880, 0.0, 0.1352, 0.7119, 0.0, 0.0313, 0.0001, 0.8249)
"""Red, green and blue of ProPhoto, whose gamma is 1.8, in XYZ under D50."""

SRGB = (0.4361, 0.2225, 0.0139, 0.3851, 0.7169, 0.0971, 0.1431, 0.0606, 0.7141)
"""Red, green and blue of sRGB in XYZ under D50."""


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH2x", 1, round(gamma * 256))


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0" + text,
        b"wtpt": _xyz(*D50),
        **tags,
    }
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, kind, space, connection)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(*D50)[8:]
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + table + body


def of_primaries(primaries: tuple[float, ...], gamma: float) -> bytes:
    """A profile of RGB images."""
    names = (b"r", b"g", b"b")
    colors = {name + b"XYZ": _xyz(*primaries[3 * i : 3 * i + 3]) for i, name in enumerate(names)}
    return _profile(b"mntr", b"RGB ", b"XYZ ", colors | {n + b"TRC": _curve(gamma) for n in names})


def of_gray(gamma: float) -> bytes:
    """A profile of gray images."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma)})


def of_inks() -> bytes:
    """A profile of CMYK images in which each of the inks only makes the paper darker."""
    ramp = bytes(range(256))
    inks = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), -1).reshape(-1, 4).sum(1)
    lab = np.stack([255 - inks * 60, np.full(16, 128), np.full(16, 128)], 1).astype(np.uint8)
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + lab.tobytes() + ramp * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})
