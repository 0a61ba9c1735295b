"""Long lists of numbers in JSON: in pieces, they are what they are as a whole."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostnet.serving import number_lists, protocol
from ghostnet.serving.number_lists import put_back, take_numbers
from ghostnet.serving.refusal import Refusal

NUMBERS = st.integers(-(10**20), 10**20) | st.floats(width=32, allow_nan=False)
TEXTS = st.text('[]{}",:\\0é ', max_size=20)
DATA = st.recursive(
    st.lists(NUMBERS, min_size=1, max_size=30), lambda part: st.lists(part, min_size=1, max_size=4)
)
SPACES = st.sampled_from([(",", ":"), (" ,\n ", " :\t")])


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_lists, "LONG", 8)
    monkeypatch.setattr(number_lists, "PIECE", 64)


def plain(data: Any) -> Any:
    """Data whose numbers are rounded to half of a double, in lists."""
    if isinstance(data, np.ndarray):
        return data.tolist()
    return [plain(part) for part in data] if isinstance(data, list) else float(np.float32(data))


@given(before=TEXTS, data=DATA, after=TEXTS, separators=SPACES)
@settings(deadline=None)
def test_a_document_in_pieces_is_the_document(
    before: str, data: list[Any], after: str, separators: tuple[str, str]
) -> None:
    document = {"id": before, "data": data, "last": [after, f"[{before}]", f"{data}"]}
    text = json.dumps(document, separators=separators).encode()
    rest, taken = take_numbers(bytearray(text))
    parsed = json.loads(rest)
    assert (parsed["id"], parsed["last"]) == (document["id"], document["last"])
    numbers = iter(taken)
    assert plain(put_back(parsed["data"], numbers)) == plain(data)
    assert next(numbers, None) is None


@pytest.mark.parametrize(
    "inner", ["1,2,,3,4,5", "1,2,3,4,5,", ",1,2,3,4,5", "1,2,3,x,4,5", "1,2,null,3,4", "1,2,true,3",
              "1 2 3 4 5 6 7", "1" * 5000, "0," * 31 + "0,", "0," * 32, "         "]
)  # fmt: skip
def test_what_is_no_list_of_numbers_is_refused(inner: str) -> None:
    text = f'{{"inputs":[{{"name":"images","datatype":"FP32","shape":[1],"data":[{inner}]}}]}}'
    with pytest.raises(Refusal) as refused:
        protocol.parse_request(bytearray(text.encode()))
    assert refused.value.status == 400


def test_lists_elsewhere_are_refused_or_ignored() -> None:
    head = b'{"inputs":[{"name":"images","datatype":"FP32","shape":[%s],"data":[%s]}]}'
    with pytest.raises(Refusal, match=r"inputs\.0\.shape\.0"):
        protocol.parse_request(bytearray(head % (b"1,2,3,4,5,6,7", b"1")))
    request = protocol.parse_request(bytearray(head % (b"1", b"[null],[1,2,3,4,5]")))
    assert plain(request.inputs[0].data[0]) == [1, 2, 3, 4, 5]
    with pytest.raises(Refusal, match="must be lists of numbers"):
        protocol.read_floats(request.inputs[0], memoryview(b""), ())
