"""The rooms of the package: no room imports one above it; CONTRIBUTING states their order."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "ghostnet"

FLOORS = (
    (
        "errors",
        "lazy",
        "packages",
        "system",
        "files",
        "database",
        "threads",
        "runtime",
        "numpy_interface",
        "web",
    ),
    ("models",),
    ("checkpoints",),
    ("data",),
    ("kernels",),
    ("model",),
    ("hub",),
    ("inference",),
    ("embeddings",),
    ("export",),
    ("serving",),
    ("training",),
    ("benchmark",),
    ("verify", "doctor"),
    ("cli",),
)
"""The rooms, from the lowest floor to the highest."""

LEVELS = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

TERMINAL = {"typer", "rich"}


def room_of(module: str) -> str:
    """``models`` of ``ghostnet.models.layers``."""
    return module.split(".")[1] if "." in module else ""


def room_with(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or inside a function, types included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "ghostnet":
            yield from (f"ghostnet.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


MODULES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"})


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_no_room_imports_one_above_it(path: Path) -> None:
    room = room_with(path)
    for module in imports(path):
        if module.startswith("ghostnet."):
            assert LEVELS[room_of(module)] <= LEVELS[room], f"{room} imports {module}"


OPENERS = {"inference", "benchmark"}
"""Rooms that ask the hub for a model by name, and for nothing else."""


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_model_is_used_without_the_hub(path: Path) -> None:
    from_hub = {
        alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ghostnet.hub")
        for alias in node.names
    }
    if room_with(path) in {"export", "serving"} | OPENERS:
        assert from_hub <= ({"open_model"} if room_with(path) in OPENERS else set())


TRAINING = ("head", "teacher", "run")
"""The rooms in ``training``, in their order; what they share lies beside them."""


def test_no_room_of_training_imports_one_above_it() -> None:
    rooms = {path.parent.name for path in (PACKAGE / "training").glob("*/__init__.py")}
    assert rooms == set(TRAINING)
    for level, room in enumerate((".", *TRAINING)):
        above = tuple(f"ghostnet.training.{other}" for other in TRAINING[level:])
        for path in (PACKAGE / "training" / room).glob("*.py"):
            assert not [module for module in imports(path) if module.startswith(above)], path


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_only_the_command_knows_the_terminal(path: Path) -> None:
    if room_with(path) != "cli":
        assert not TERMINAL & {module.split(".")[0] for module in imports(path)}


SYSTEM_MODULES = {"fcntl", "grp", "msvcrt", "pwd", "resource", "termios", "winreg", "_winapi"}

EVERYWHERE = {"os.O_CREAT", "os.O_EXCL", "os.O_RDONLY", "os.O_RDWR", "os.O_TRUNC", "os.O_WRONLY"}
EVERYWHERE |= {"signal.SIGINT", "signal.SIGTERM", "signal.SIG_DFL", "signal.SIG_IGN"}

OF_A_SYSTEM = re.compile(
    r"os\.(O_\w+|name|link|fork|fchmod|fchown|killpg|mkfifo|p(read|write)|replace|rename|sysconf|uname"
    r"|kill|get(e?[ug]id|pgid)|sched_\w+|register_at_fork|memfd_create|statvfs|nice)"
    r"|sys\.(platform|getwindowsversion)"
    r"|platform\.(system|machine|release|libc_ver|uname|win32_ver|mac_ver|platform|processor)"
    r"|signal\.(SIG\w*|pthread_\w+|sigwait|alarm|setitimer)"
    r"|socket\.(AF_UNIX|SO_REUSEPORT|SO_EXCLUSIVEADDRUSE)"
)
"""What some systems have and others lack, or do otherwise."""


def names_of_systems(path: Path) -> Iterator[str]:
    """What a file knows of systems: modules, attributes and folders, but for what all have."""
    yield from SYSTEM_MODULES & {*imports(path)}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if OF_A_SYSTEM.fullmatch(name) and name not in EVERYWHERE:
                yield name
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names} - EVERYWHERE
            yield from filter(OF_A_SYSTEM.fullmatch, names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"/(?:proc|dev/shm)\b", node.value)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_one_room_knows_systems_by_name(path: Path) -> None:
    if room_with(path) != "system":
        assert not [*names_of_systems(path)]


def test_every_room_has_a_floor() -> None:
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py"}
    found |= {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert found - {"__init__"} == set(LEVELS)


def test_contributing_states_the_order() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text()
    stated = re.search(r"errors,[^\n]*→[^`]*cli", text)
    assert stated, "CONTRIBUTING.md states the order of the rooms, from errors to cli"
    order = [re.findall(r"\w+", floor) for floor in stated[0].split("→")]
    assert [LEVELS[room] for floor in order for room in floor] == sorted(
        LEVELS[room] for room in LEVELS if room != "numpy_interface"
    )
