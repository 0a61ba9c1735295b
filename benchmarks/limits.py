"""Instruction sets that a benchmark can keep its engines to, as on a processor that has no more."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from machine import processor, slug

RESULTS = Path(__file__).with_name("results")

LIMITS: Mapping[str | None, Mapping[str, str]] = MappingProxyType(
    {
        None: {},
        "avx2": {
            "GHOSTNET_INSTRUCTION_SET": "avx2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",  # of OpenVINO and PyTorch
            "ATEN_CPU_CAPABILITY": "avx2",
        },
    }
)
"""Environment that keeps engines to an instruction set, by its name."""

NAMES = tuple(name for name in LIMITS if name)


def limited_processor(limit: str | None) -> str:
    """Return the name of the processor, with the limit beside it."""
    return f"{processor()}, limited to {limit.upper()}" if limit else processor()


def results_file(benchmark: str, limit: str | None) -> Path:
    """Return the file of results, such as ``cpu_inference_zen_4.json``."""
    return RESULTS / f"{'_'.join(filter(None, (benchmark, slug(), limit)))}.json"
