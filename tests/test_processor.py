"""What the kernels know about the processor is what the system says."""

import platform
from pathlib import Path

import pytest

from ghostnet import kernels
from ghostnet.kernels.cpu import library

CPUINFO = Path("/proc/cpuinfo")

EXTENSIONS = {
    "x86_64": "avx2 fma avx512f avx512bw avx512dq avx512vl avx512_vnni avx_vnni avx512_bf16 "
    "amx_tile amx_int8 amx_bf16",
    "aarch64": "asimddp i8mm bf16",
}
"""Extensions that kernels use, by machine."""

SETS = {
    "amx": "avx512f avx512bw avx512dq avx512vl avx512_bf16 amx_tile amx_bf16",
    "avx512": "avx512f avx512bw avx512dq avx512vl",
    "avx2": "avx2 fma",
}
"""Extensions that an instruction set needs."""

pytestmark = pytest.mark.skipif(
    not kernels.available() or not CPUINFO.exists() or platform.machine() not in EXTENSIONS,
    reason="needs the kernels, and /proc/cpuinfo of a processor that they know",
)


def flags() -> set[str]:
    """The flags of the first processor."""
    lines = CPUINFO.read_text().splitlines()
    (first, *_) = (line for line in lines if line.startswith(("flags", "Features")))
    return set(first.partition(":")[2].split())


def test_extensions_are_those_of_the_system() -> None:
    known = set(EXTENSIONS[platform.machine()].split())
    assert set(library.processor_extensions()) == known & flags()


@pytest.mark.parametrize("name", SETS)
def test_an_instruction_set_is_supported_where_the_processor_has_its_extensions(name: str) -> None:
    assert (name in kernels.instruction_sets()) == (set(SETS[name].split()) <= flags())
