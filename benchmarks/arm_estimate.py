"""Estimate the speed of the inner loops on ARM, beside XNNPACK's, from their instructions alone.

``python benchmarks/arm_estimate.py XNNPACK`` takes the path of a checkout of XNNPACK, compiles its
micro-kernels and ours for arm64 with the same compiler, has ``llvm-mca`` count the cycles of the
loops that do the multiply-adds, and writes ``arm_estimate.json`` beside this file in ``results``.
Nothing runs: the estimate takes every load from the first-level cache, and leaves out what comes
before and after the loops, edges of maps among it.

``--compiler`` is one that compiles for arm64, by default zig's. ``llvm-objdump`` and ``llvm-mca``
are those of LLVM 19 or later. LLVM has no schedule of its own for some cores and takes that of
another for them; the table names both.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).with_name("results") / "arm_estimate.json"
CPU = Path(__file__).resolve().parents[1] / "ghostnet/kernels/csrc/cpu"
OPTIONS = ["-O3", "-ffp-contract=fast", "-fPIC", "-w", "-mcpu=generic+dotprod+i8mm"]
ZIG = f"{sys.executable} -m ziglang {{}} -target aarch64-linux-gnu"
TURNS = 500

# The core, and that whose schedule LLVM takes for it. The first has no dot product of bytes.
SCHEDULES = {
    "cortex-a72": "Cortex-A57",
    "cortex-a76": "Cortex-A57",
    "neoverse-n1": "Neoverse N1",
    "apple-m1": "Apple Cyclone",
}

# Multiply-adds of an instruction.
PRODUCTS = {"fmla": 4, "fmul": 4, "sdot": 16, "usdot": 16, "smmla": 32, "usmmla": 32}

OURS = """
#include "ops/depthwise.h"
#include "ops/pointwise.h"
#include "ops/pointwise_int8.h"
namespace ghostnet::cpu {
template void channel_tile_span<4, 12, EqualOffsets>(const ChannelTileParams<EqualOffsets>&, Range);
template void depthwise_stride1<4, 3, Activation::kRelu>(const DepthwiseParams&, Range);
template void depthwise_stride1<4, 5, Activation::kNone>(const DepthwiseParams&, Range);
template void depthwise_stride2<4, 3, Activation::kNone>(const DepthwiseParams&, Range);
template void depthwise_stride2<4, 5, Activation::kNone>(const DepthwiseParams&, Range);
template class Int8Pointwise<4, DotProducts>;
}
"""

# What XNNPACK's headers include of another library.
PTHREADPOOL = "typedef struct pthreadpool* pthreadpool_t;"


class Kernel(NamedTuple):
    """Our function, as a pattern of its name, and XNNPACK's files for the same layer."""

    layer: str
    ours: str
    theirs: tuple[str, ...]
    dtype: str = "float32"


KERNELS = (
    Kernel(
        "pointwise",
        r"register_tile<4, 12, 12, 2, .*0",
        (
            "f32-gemm/gen/f32-gemm-6x8-minmax-aarch64-neonfma-lane-ld128.c",
            "f32-gemm/gen/f32-gemm-6x8-minmax-asm-aarch64-neonfma-cortex-a75.S",
        ),
    ),
    Kernel(
        "depthwise 3 × 3",
        r"depthwise_stride1<4, 3,",
        ("f32-dwconv2d-chw/gen/f32-dwconv2d-chw-3x3p1-minmax-aarch64-neonfma-3x4.c",),
    ),
    Kernel(
        "depthwise 5 × 5",
        r"depthwise_stride1<4, 5,",
        ("f32-dwconv2d-chw/gen/f32-dwconv2d-chw-5x5p2-minmax-aarch64-neonfma-4x4.c",),
    ),
    Kernel(
        "depthwise 3 × 3, stride 2",
        r"depthwise_stride2<4, 3,",
        ("f32-dwconv2d-chw/gen/f32-dwconv2d-chw-3x3s2p1-minmax-aarch64-neonfma-2x4-acc2.c",),
    ),
    Kernel(
        "depthwise 5 × 5, stride 2",
        r"depthwise_stride2<4, 5,",
        ("f32-dwconv2d-chw/gen/f32-dwconv2d-chw-5x5s2p2-minmax-aarch64-neonfma-1x4-acc2.c",),
    ),
    Kernel(
        "pointwise",
        r"Int8Pointwise<4.*(?:register_tile<12, 0, 12, 2>|channel_tile<12>)",
        (
            "qd8-f32-qc8w-gemm/gen/qd8-f32-qc8w-gemm-4x16c4-minmax-neondot.c",
            "qd8-f32-qc8w-gemm/gen/qd8-f32-qc8w-gemm-4x16c4-minmax-asm-aarch64-neondot-ld128.S",
        ),
        dtype="int8",
    ),
)


class Instruction(NamedTuple):
    """An instruction, and the address to which it branches, if it does."""

    address: int
    text: str
    target: int | None

    @property
    def multiply_adds(self) -> int:
        """Those that it does."""
        name, _, operands = self.text.partition("\t")
        half = "2s" in operands or "8b" in operands
        return PRODUCTS.get(name, 0) // (2 if half else 1)


class Loop(NamedTuple):
    """The instructions of a loop, the branch back included."""

    instructions: tuple[Instruction, ...]

    @property
    def multiply_adds(self) -> int:
        """Those of one turn."""
        return sum(instruction.multiply_adds for instruction in self.instructions)

    def assembly(self) -> str:
        """Return the text for llvm-mca, whose branches all lead to the end."""
        lines = (re.sub(r"0x[0-9a-f]+ <.*", "end", one.text) for one in self.instructions)
        return "\n".join([*lines, "end:", ""])


def run(*command: str | Path) -> str:
    """Return what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def compile_source(compiler: str, source: Path, *includes: Path) -> Path:
    """Compile a source in a folder of ours, and return the object."""
    language = "c++" if source.suffix == ".cc" else "cc"
    standard = ["-std=c++17"] if source.suffix == ".cc" else []
    out = source.with_suffix(".o")
    search = [f"-I{include}" for include in includes]
    run(
        *shlex.split(compiler.format(language)),
        *standard,
        *OPTIONS,
        *search,
        "-c",
        source,
        "-o",
        out,
    )
    return out


def functions(binary: Path) -> Iterator[tuple[str, list[Instruction]]]:
    """Iterate over the names and instructions of an object's functions."""
    text = run("llvm-objdump", "-d", "--no-show-raw-insn", "--demangle", binary)
    for part in re.split(r"\n(?=[0-9a-f]+ <)", text):
        head = re.match(r"[0-9a-f]+ <(.*)>:\n", part)
        if not head:
            continue
        instructions = []
        for line in re.findall(r"^ *([0-9a-f]+):\s+(\S.*)", part, re.MULTILINE):
            branch = re.search(r"^(?:b|b\.\w+|cbn?z|tbn?z)\t.*\b0x([0-9a-f]+) <", line[1])
            target = int(branch[1], 16) if branch else None
            instructions.append(Instruction(int(line[0], 16), line[1], target))
        yield head[1], instructions


def innermost_loops(instructions: list[Instruction]) -> Iterator[Loop]:
    """Iterate over the loops of a function that hold no other loop."""
    index = {instruction.address: i for i, instruction in enumerate(instructions)}
    spans = [
        (index[one.target], i)
        for i, one in enumerate(instructions)
        if one.target in index and one.target <= one.address
    ]
    for first, last in spans:
        if not any(first <= a and b <= last and (a, b) != (first, last) for a, b in spans):
            yield Loop(tuple(instructions[first : last + 1]))


def densest_loop(binary: Path, name: str = "") -> Loop:
    """Return the loop with the most multiply-adds for its instructions, in functions of a name."""
    loops = [
        loop
        for function, instructions in functions(binary)
        if re.search(name, function)
        for loop in innermost_loops(instructions)
    ]
    return max(loops, key=lambda loop: loop.multiply_adds / len(loop.instructions))


def cycles(loop: Loop, core: str) -> float:
    """Return the cycles of a turn that llvm-mca counts."""
    with tempfile.NamedTemporaryFile("w", suffix=".s") as source:
        source.write(loop.assembly())
        source.flush()
        options = ["-mtriple=aarch64", f"-mcpu={core}", "-mattr=+dotprod,+i8mm"]
        report = run("llvm-mca", *options, f"-iterations={TURNS}", source.name)
    total = re.search(r"Total Cycles:\s+(\d+)", report)
    assert total is not None
    return int(total[1]) / TURNS


def estimate(loop: Loop, dtype: str) -> dict[str, float]:
    """Return the counts of a loop, and its multiply-adds a cycle on each core."""
    cores = list(SCHEDULES)[1 if dtype == "int8" else 0 :]
    speeds = {core: round(loop.multiply_adds / cycles(loop, core), 2) for core in cores}
    return {
        "multiply_adds": loop.multiply_adds,
        "instructions": len(loop.instructions),
        **speeds,
    }


def loops(xnnpack: Path, compiler: str, work: Path) -> Iterator[tuple[Kernel, str, Loop]]:
    """Compile the kernels in a folder, and iterate over the loops, with who wrote them."""
    (work / "pthreadpool.h").write_text(PTHREADPOOL)
    (work / "ours.cc").write_text(OURS)
    ours = compile_source(compiler, work / "ours.cc", CPU)
    includes = (xnnpack, xnnpack / "include", xnnpack / "src", work)
    for kernel in KERNELS:
        yield kernel, "this package", densest_loop(ours, kernel.ours)
        for path in kernel.theirs:
            source = work / Path(path).name
            source.write_bytes((xnnpack / "src" / path).read_bytes())
            name = re.sub(r"^.*?-(?=\d+x)|-minmax|-aarch64", "", source.stem)
            yield (
                kernel,
                f"XNNPACK, {name}",
                densest_loop(compile_source(compiler, source, *includes)),
            )


def main() -> None:
    """Compile, estimate and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("xnnpack", type=Path, help="a checkout of XNNPACK")
    parser.add_argument("--compiler", default=ZIG, help="with {} in place of cc and c++")
    arguments = parser.parse_args()
    estimates: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory() as work:
        for kernel, author, loop in loops(arguments.xnnpack, arguments.compiler, Path(work)):
            layers = estimates.setdefault(kernel.dtype, {})
            layers.setdefault(kernel.layer, {})[author] = estimate(loop, kernel.dtype)
    results = {
        "xnnpack": run("git", "-C", arguments.xnnpack, "rev-parse", "HEAD").strip(),
        "llvm": run("llvm-mca", "--version").split("version ")[1].split()[0],
        "schedules": SCHEDULES,
        **estimates,
    }
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
