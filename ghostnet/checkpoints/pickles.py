"""Pickles read as data: nothing that one asks for is imported, called or allocated.

Our own, because every unpickler does what the file says, PyTorch's careful one too: a kilobyte can
ask for gigabytes, or for a key that takes years to hash. Protocol 2, which ``torch.save`` writes.
"""

import pickletools
import warnings
from collections.abc import Callable
from typing import IO, Any, NamedTuple

MAX_OPERATIONS = 1_000_000
"""Longest pickle that is read. A tensor takes about 40 operations, each at most 200 bytes."""

DICTS = ("collections.OrderedDict", "collections.defaultdict")
"""Classes whose objects are read as dicts."""


class PickleError(ValueError):
    """Bytes that are not a pickle of protocol 2, or a pickle with objects that are not allowed."""


class Name(NamedTuple):
    """A class or function that a pickle refers to."""

    path: str


class Call(NamedTuple):
    """A call that a pickle asks for, which is not made."""

    function: Any
    arguments: Any


class Reference(NamedTuple):
    """What the writer of a pickle stored outside it."""

    id: Any


class Pickle:
    """The value of a pickle: dicts, lists, tuples, texts, numbers, and what stands for objects.

    Dicts keep the entries whose key is a text or an integer. What an object holds is left out.

    Args:
        file: Where the pickle starts; read up to its end.
        allowed: Whether a pickle may refer to a class or function, given its full name.

    Attributes:
        value: The value.
        references: Every `Reference` in it.

    Raises:
        PickleError: The bytes are not a pickle of protocol 2, or it is too long, or refers to a
            class or function that is not allowed.
    """

    def __init__(self, file: IO[bytes], allowed: Callable[[str], bool]) -> None:
        self.references: list[Reference] = []
        self._allowed = allowed
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        try:
            self._read(file)
        except PickleError:
            raise
        except (ValueError, LookupError, DeprecationWarning) as error:
            raise PickleError("damaged, or not a pickle of protocol 2") from error

    def _read(self, file: IO[bytes]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # of an unknown escape in a name
            for count, (operation, argument, _) in enumerate(pickletools.genops(file)):
                if count == MAX_OPERATIONS:
                    raise PickleError(f"more than {MAX_OPERATIONS:,} operations")
                _STEPS[operation.name](self, argument)
        self.value = self._stack.pop()

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        return self._stack.pop()

    def _mark(self) -> None:
        self._marks.append(len(self._stack))

    def _pop_marked(self) -> list[Any]:
        """Take the values above the last mark."""
        return self._pop_last(len(self._stack) - self._marks.pop())

    def _pop_last(self, count: int) -> list[Any]:
        start = len(self._stack) - count
        if start < 0:
            raise IndexError(count)
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _extend(self, values: list[Any]) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(values)

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            pairs = zip(items[::2], items[1::2], strict=True)
            target.update((key, value) for key, value in pairs if isinstance(key, str | int))

    def _name(self, path: str) -> None:
        path = path.replace(" ", ".", 1)  # between the module and the name
        if not self._allowed(path):
            raise PickleError(f"it holds the object {path}, and code in a file is never run")
        self._push(Name(path))

    def _call(self) -> None:
        function, arguments = self._pop_last(2)
        is_dict = isinstance(function, Name) and function.path in DICTS
        self._push({} if is_dict else Call(function, arguments))

    def _refer(self) -> None:
        self.references.append(Reference(self._pop()))
        self._push(self.references[-1])


_VALUES = (
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE"),
    *("SHORT_BINSTRING", "BINSTRING"),
)
_STEPS: dict[str, Callable[[Pickle, Any], Any]] = {
    **dict.fromkeys(("PROTO", "STOP"), lambda pickle, _: None),
    **dict.fromkeys(_VALUES, Pickle._push),
    "NONE": lambda pickle, _: pickle._push(None),
    "NEWTRUE": lambda pickle, _: pickle._push(True),
    "NEWFALSE": lambda pickle, _: pickle._push(False),
    "EMPTY_LIST": lambda pickle, _: pickle._push([]),
    "EMPTY_DICT": lambda pickle, _: pickle._push({}),
    "EMPTY_TUPLE": lambda pickle, _: pickle._push(()),
    "TUPLE": lambda pickle, _: pickle._push(tuple(pickle._pop_marked())),
    "TUPLE1": lambda pickle, _: pickle._push(tuple(pickle._pop_last(1))),
    "TUPLE2": lambda pickle, _: pickle._push(tuple(pickle._pop_last(2))),
    "TUPLE3": lambda pickle, _: pickle._push(tuple(pickle._pop_last(3))),
    "MARK": lambda pickle, _: pickle._mark(),
    "POP": lambda pickle, _: pickle._pop(),
    "POP_MARK": lambda pickle, _: pickle._pop_marked(),
    "APPEND": lambda pickle, _: pickle._extend(pickle._pop_last(1)),
    "APPENDS": lambda pickle, _: pickle._extend(pickle._pop_marked()),
    "SETITEM": lambda pickle, _: pickle._update(pickle._pop_last(2)),
    "SETITEMS": lambda pickle, _: pickle._update(pickle._pop_marked()),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), Pickle._put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda pickle, i: pickle._push(pickle._memo[i])),
    "GLOBAL": Pickle._name,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda pickle, _: pickle._call()),
    "BUILD": lambda pickle, _: pickle._pop(),
    "BINPERSID": lambda pickle, _: pickle._refer(),
}
"""What each operation of protocol 2 does, given its argument."""
