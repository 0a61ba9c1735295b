"""The C++ sources: their format, and that each includes the headers whose names it uses."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
CPU = REPOSITORY / "ghostnet/kernels/csrc/cpu"

CLANG_FORMAT = "version 23."
"""The release whose format the sources have; others differ in places."""

STANDARD = {
    "algorithm": r"std::(all_of|clamp|copy|copy_n|equal|fill|fill_n|max|min)\b",
    "array": r"std::array\b",
    "atomic": r"std::(atomic|memory_order)",
    "chrono": r"std::chrono\b",
    "cmath": r"std::(abs|isnan|nearbyint|sqrt)\b",
    "cstddef": r"std::(ptrdiff_t|size_t)\b",
    "cstdint": r"\bu?int(8|16|32|64)_t\b",
    "cstring": r"std::(memcpy|strcmp)\b",
    "exception": r"std::(current_exception|exception|exception_ptr|rethrow_exception)\b",
    "memory": r"std::(make_unique|unique_ptr)\b",
    "mutex": r"std::(call_once|lock_guard|mutex|once_flag|unique_lock)\b",
    "new": r"std::(align_val_t|bad_alloc)\b",
    "optional": r"std::(nullopt|optional)\b",
    "stdexcept": r"std::invalid_argument\b",
    "string": r"std::(string|to_string)\b",
    "thread": r"std::thread\b",
    "type_traits": r"std::integral_constant\b",
    "utility": r"std::(exchange|integer_sequence|make_integer_sequence|move|pair)\b",
    "vector": r"std::vector\b",
}
"""Names of each header of the standard library that the kernels use."""

TYPES = r"^(?:struct|class|enum class|using) (\w+)(?: final)?(?: [:{=]| *$)"


def sources(*suffixes: str) -> list[Path]:
    folders = (CPU.parent, REPOSITORY / "tests/cpp")
    return sorted(
        path for folder in folders for path in folder.rglob("*") if path.suffix in suffixes
    )


def code_of(path: Path) -> str:
    """The text of a file without its comments."""
    return re.sub(r"//.*", "", path.read_text())


def included(path: Path) -> set[str]:
    """What a file includes itself, or in the header that it implements."""
    own = path.with_suffix(".h")
    text = path.read_text() + (own.read_text() if own.exists() else "")
    return set(re.findall(r'#include [<"](.+)[>"]', text))


def standard_headers(code: str) -> Iterator[str]:
    yield from (header for header, names in STANDARD.items() if re.search(names, code))


@pytest.mark.parametrize("path", sources(".h", ".cc"), ids=lambda path: path.name)
def test_every_file_includes_the_standard_headers_that_it_uses(path: Path) -> None:
    assert set(standard_headers(code_of(path))) <= included(path)


def headers_of_types(folders: set[str]) -> dict[str, str]:
    """The header of each type that is defined in some folders."""
    headers = (path for folder in sorted(folders) for path in (CPU / folder).glob("*.h"))
    return {
        name: path.relative_to(CPU).as_posix()
        for path in headers
        for name in re.findall(TYPES, path.read_text(), re.MULTILINE)
    }


INFERENCE = {"network", "ops", "runtime", "simd", "system"}

HEADERS = {folder: headers_of_types(INFERENCE) for folder in (*INFERENCE, "cpu")}
HEADERS["training"] = headers_of_types((INFERENCE - {"network"}) | {"training"})


@pytest.mark.parametrize("path", sorted(CPU.rglob("*.[hc]*")), ids=lambda path: path.name)
def test_every_file_includes_the_headers_whose_types_it_uses(path: Path) -> None:
    used = set(re.findall(r"\b[A-Z]\w+", code_of(path)))
    headers = {header for name, header in HEADERS[path.parent.name].items() if name in used}
    own = path.with_suffix(".h").relative_to(CPU).as_posix()
    assert headers - {own} <= included(path)


SYSTEMS = re.compile(
    r"#include <(sys/|windows|unistd|pthread|time\.h|sched)|_WIN32|__linux__|__APPLE__|pthread_"
    r"|__builtin_cpu_|aligned_alloc|posix_memalign|\bm?madvise\b|\bmmap\b|clock_gettime|sysctl"
    r"|getauxval"
)


@pytest.mark.parametrize("path", sorted(CPU.rglob("*.[hc]*")), ids=lambda path: path.name)
def test_only_the_sources_of_systems_name_one(path: Path) -> None:
    named = SYSTEMS.search(code_of(path))
    assert named is None or (path.parent.name, path.suffix) == ("system", ".cc"), named


def test_sources_are_formatted() -> None:
    formatter = Path(sys.executable).with_name("clang-format")
    if not formatter.exists() or CLANG_FORMAT not in subprocess.check_output(
        [formatter, "--version"], text=True
    ):
        pytest.skip("needs clang-format 23: pip install clang-format")
    command = [formatter, "--dry-run", "--Werror", *sources(".h", ".cc", ".cu")]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
