"""The locked packages are those that the project asks for, each with its hashes."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
CORE = [*PROJECT["project"]["dependencies"], *GROUPS["build"]]
LOCKS = {
    "test": [*CORE, *EXTRAS["test"]],
    "dev": [*CORE, *EXTRAS["dev"]],
    "fuzz": GROUPS["fuzz"],
    "wheels": [*GROUPS["build"], *GROUPS["wheels"]],
}

LINUX = {
    "implementation_name": "cpython",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "sys_platform": "linux",
}


def resolved(requirements: list[str]) -> Iterator[Requirement]:
    """The requirements, and those of this project's own extras instead of its name."""
    for requirement in map(Requirement, requirements):
        if requirement.name == PROJECT["project"]["name"]:
            for extra in requirement.extras:
                yield from resolved(EXTRAS[extra])
        else:
            yield requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_locked_at_a_version_that_it_allows(lock: str) -> None:
    pins = pinned(lock)
    for requirement in resolved(LOCKS[lock]):
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        versions = [version for package, version, _ in pins if package == name]
        assert versions, f"{requirement} is not locked: make lock"
        assert all(version in requirement.specifier for version in versions), requirement


def pinned(lock: str) -> list[tuple[str, str, str]]:
    """The packages of a lock, their versions, and where each is wanted; all have hashes."""
    text = (REPOSITORY / "requirements" / f"{lock}.txt").read_text()
    pins = re.findall(
        r"^([\w.-]+)==(\S+) (.*)\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE
    )
    assert len(pins) == len(re.findall(r"^[\w.-]+==", text, re.MULTILINE))
    return pins


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_the_tests_can_be_installed_for_every_python(python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    names = {
        package
        for package, _, marker in pinned("test")
        if Marker(marker.lstrip("; ")).evaluate(environment | LINUX)
    }
    assert names >= {"numpy", "pydantic", "pytest", "starlette"}
    assert ("mindspore" in names) == (python in ("3.10", "3.11", "3.12"))


def test_the_first_run_installs_at_most_half_of_what_all_tests_need() -> None:
    test, dev = ({pin[:2] for pin in pinned(lock)} for lock in ("test", "dev"))
    assert test <= dev
    assert len(pinned("test")) <= len(pinned("dev")) / 2


def listed(name: str) -> set[str]:
    """The requirements in a list that people keep."""
    lines = (REPOSITORY / "requirements" / f"{name}.txt").read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_inference_needs_what_the_project_does_but_mindspore() -> None:
    needed = {line for line in PROJECT["project"]["dependencies"] if "mindspore" not in line}
    assert listed("inference") == needed


def test_a_server_needs_what_the_extra_says() -> None:
    assert listed("serve") == set(EXTRAS["serve"])
