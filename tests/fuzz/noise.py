"""Bytes to fuzz with: good examples with damage, protobuf-shaped noise, plain noise."""

from hypothesis import strategies as st

TELLING = (b"\0", b"\xff", b"\xff\xff\xff\x7f", b"\n", b"---\n", b": ", b"[", b"{", b"|", b"../")


def noise(examples: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Bytes that resemble the examples, more or less."""
    return st.one_of(damaged(examples), damaged(examples), protobuf(), st.binary(max_size=400))


@st.composite
def damaged(draw: st.DrawFn, examples: tuple[bytes, ...]) -> bytes:
    """An example after a few edits: bits flipped, pieces cut out, doubled or put in."""
    data = bytearray(draw(st.sampled_from(examples)))
    for _ in range(draw(st.integers(1, 8))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 64)))
        kind = draw(st.sampled_from(("flip", "cut", "double", "put", "truncate")))
        if kind == "flip" and start < len(data):
            data[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[start:end]
        elif kind == "double":
            data[start:start] = data[start:end] * draw(st.integers(1, 50))
        elif kind == "put":
            data[start:end] = draw(st.sampled_from(TELLING) | st.binary(max_size=16))
        elif kind == "truncate" and draw(st.booleans()):
            del data[start:]
    return bytes(data)


def varint(number: int) -> bytes:
    """An integer as protobuf writes it."""
    groups = [number >> shift & 0x7F for shift in range(0, max(1, number.bit_length()), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def protobuf() -> st.SearchStrategy[bytes]:
    """Messages of fields with small numbers, nested a few levels."""
    tags = st.integers(1, 4)
    number = st.integers(0, 2**64 - 1) | st.integers(0, 8)
    leaf = st.binary(max_size=24) | st.sampled_from((b"Float32", b"Int64", b"classifier.weight"))

    def field(content: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        numbers = st.builds(lambda tag, x: varint(tag << 3) + varint(x), tags, number)
        parts = st.builds(lambda tag, x: varint(tag << 3 | 2) + varint(len(x)) + x, tags, content)
        return st.lists(numbers | parts, max_size=6).map(b"".join)

    return st.recursive(leaf, field, max_leaves=12)
