"""The orders in which training tools number the classes of a folder."""

import re
from collections.abc import Callable, Iterable
from typing import Any


def _natural(name: str) -> list[str | int]:
    """Return a key by which numbers are ordered by their values: 2 before 10."""
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


ORDERS: dict[str, Callable[[str], Any]] = {
    "timm": _natural,
    "torchvision, MindSpore and MindCV": str,
    "this package": lambda name: (name.lower(), name),
}
"""Key by which each tool sorts the names of the folders. huawei-noah's uses torchvision."""


def class_orders(names: Iterable[str]) -> dict[tuple[str, ...], str]:
    """Return the different orders of some classes, each with the first tool that sorts so."""
    known = list(names)
    orders: dict[tuple[str, ...], str] = {}
    for tool, key in ORDERS.items():
        orders.setdefault(tuple(sorted(known, key=key)), tool)
    return orders
