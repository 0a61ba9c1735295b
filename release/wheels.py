"""Build the source distribution and the wheel of every platform, and inspect the wheels."""

import argparse
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from inspection import problems
from platforms import PLATFORMS, Platform, cmake_variables, compiler

REPOSITORY = Path(__file__).resolve().parents[1]


def build(source: Path, out: Path, kind: str, *options: str, cxx: str = "") -> None:
    """Build a distribution with the packages of this environment.

    Args:
        source: Folder of the project.
        out: Where the distribution goes.
        kind: ``sdist`` or ``wheel``.
        options: Settings of scikit-build-core.
        cxx: The C++ compiler.
    """
    settings = [f"--config-setting={option}" for option in options]
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", out]
    environment = {"SOURCE_DATE_EPOCH": time_of_commit()} | os.environ | {"CXX": cxx}
    subprocess.run([*command, *settings, source], check=True, env=environment)


def time_of_commit() -> str:
    """The time of the last commit, in seconds since 1970."""
    command = ["git", "-C", REPOSITORY, "log", "-1", "--format=%ct"]
    return subprocess.check_output(command, text=True).strip()


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a source distribution, and return the folder of the project in it."""
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def build_wheel(source: Path, out: Path, platform: Platform) -> None:
    """Build the wheel of a platform."""
    variables = {"CMAKE_SHARED_LINKER_FLAGS": "-s"} | cmake_variables(platform.target)
    options = [f"cmake.define.{name}={value}" for name, value in variables.items()]
    options += [f"wheel.tags=py3-none-{platform.tag}", f"build-dir=build/{platform.tag}"]
    build(source, out, "wheel", *options, cxx=compiler(platform.target))


def build_all(out: Path, platforms: Iterable[Platform]) -> list[str]:
    """Build the source distribution, and wheels from it.

    Returns:
        What is wrong with the wheels.
    """
    found = []
    build(REPOSITORY, out, "sdist")
    (archive,) = out.glob("*.tar.gz")
    with TemporaryDirectory() as folder:
        source = unpack(archive, Path(folder))
        for platform in platforms:
            build_wheel(source, out, platform)
            (wheel,) = out.glob(f"*-{platform.tag}.whl")
            found += [f"{wheel.name}: {problem}" for problem in problems(wheel, platform)]
    return found


def main() -> None:
    """Build for the platforms that the command names; by default for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "dist", help="default: dist")
    tags = [platform.tag for platform in PLATFORMS]
    parser.add_argument("tags", nargs="*", metavar="platform", help=", ".join(tags))
    given = parser.parse_args()
    unknown = set(given.tags) - set(tags)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(tags)}")
    chosen = [platform for platform in PLATFORMS if platform.tag in (given.tags or tags)]
    sys.exit("\n".join(build_all(given.out, chosen)) or None)


if __name__ == "__main__":
    main()
