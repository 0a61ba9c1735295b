"""The wheel carries all that it needs, and runs inference where MindSpore is not installed."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from bundled_models import FLOWER_LABELS, FLOWERS
from toy_images import draw

REPOSITORY = Path(__file__).resolve().parents[1]
REQUIREMENTS = REPOSITORY / "requirements" / "inference.txt"
IMAGE = REPOSITORY / "assets/images/cat.jpg"

MAX_BYTES = 60_000_000
"""Size of the largest wheel that may hold three models."""

SOURCES = ("ghostnet", "assets", "CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml")
"""All that a wheel is made from."""

DIST_INFO = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")


def build(
    folder: Path, environment: dict[str, str] | None = None, source: Path = REPOSITORY
) -> subprocess.CompletedProcess:
    """Build a wheel into ``folder``, in an isolated environment as pip does it."""
    return subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, source],
        capture_output=True,
        text=True,
        env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"} | (environment or {}),
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.mark.nightly
@pytest.mark.slow
def test_the_wheel_holds_package_kernels_and_assets_and_nothing_else(wheel: Path) -> None:
    modules = (REPOSITORY / "ghostnet").rglob("*.py")
    cuda = (REPOSITORY / "ghostnet/kernels/csrc/cuda").iterdir()  # compiled when first used
    label_lists = (REPOSITORY / "ghostnet/data/label_lists").glob("*.txt")
    names = ("serving/openapi.yaml", "serving/page.html", "inference/report.css")
    pages = [REPOSITORY / "ghostnet" / name for name in names]
    assets = (path for path in (REPOSITORY / "assets").rglob("*") if path.is_file())
    info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    data = (*label_lists, *pages)
    expected = [
        *(path.relative_to(REPOSITORY).as_posix() for path in (*modules, *cuda, *data)),
        *(f"ghostnet/{path.relative_to(REPOSITORY).as_posix()}" for path in assets),
        "ghostnet/py.typed",
        "ghostnet/kernels/libghostnet_cpu.so",
        *(f"{info}/{name}" for name in DIST_INFO),
    ]
    assert sorted(zipfile.ZipFile(wheel).namelist()) == sorted(expected)
    assert wheel.stat().st_size < MAX_BYTES


@pytest.mark.nightly
@pytest.mark.slow
def test_the_same_wheel_comes_of_the_same_sources(wheel: Path, tmp_path: Path) -> None:
    source = tmp_path / "some" / "where" / "else"
    source.mkdir(parents=True)
    for name in SOURCES:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, source / name)
    # As ignored in the repository: what an earlier build left is no part of the next wheel.
    shutil.copy(REPOSITORY / ".gitignore", source)
    done = build(tmp_path, source=source)
    assert done.returncode == 0, done.stdout + done.stderr
    (again,) = tmp_path.glob("*.whl")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


@pytest.mark.nightly
@pytest.mark.slow
def test_an_installed_wheel_predicts_from_another_directory(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    subprocess.run([binaries / "pip", "install", "--quiet", wheel], check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    image = REPOSITORY / "assets/images/dandelion.jpg"
    done = subprocess.run(
        [binaries / "ghostnet", "predict", image, "--model", FLOWERS, "--json"],
        cwd=elsewhere,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)[0]["predictions"][0]["label"] == "dandelion"
    assert done.stderr == ""
    assert not list(elsewhere.iterdir())


@pytest.mark.nightly
@pytest.mark.slow
def test_without_kernels_a_wheel_still_builds(tmp_path: Path) -> None:
    assert build(tmp_path, {"GHOSTNET_NO_KERNELS": "1"}).returncode == 0
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert "ghostnet/hub/card.py" in names
    assert not [name for name in names if name.endswith(".so")]


@pytest.mark.nightly
@pytest.mark.slow
def test_without_a_compiler_the_build_says_so_in_one_line(tmp_path: Path) -> None:
    no_compiler = {
        "PATH": str(tmp_path),
        "SKBUILD_CMAKE_ARGS": "-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF",
    }
    done = build(tmp_path, no_compiler)
    assert done.returncode != 0
    assert "No C++ compiler" in done.stdout + done.stderr


# Without MindSpore ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of the flowers model's classes, and of others."""
    root = tmp_path_factory.mktemp("data")
    draw(root / "own")
    draw(root / "labeled", 2, FLOWER_LABELS)
    return root


def run(command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def ghostnet(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment that has what requirements/inference.txt lists, and no more."""
    root = tmp_path_factory.mktemp("inference")
    venv.create(root / "venv", with_pip=True)
    pip = [root / "venv/bin/python", "-m", "pip", "install", "--quiet"]
    for what in (["--requirement", REQUIREMENTS], ["--no-deps", wheel]):
        done = run([*pip, *what])
        assert done.returncode == 0, done.stderr
    return root / "venv/bin/ghostnet"


@pytest.mark.nightly
@pytest.mark.slow
def test_an_environment_without_mindspore_predicts_evaluates_and_finetunes(
    ghostnet: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "own"
    predicted = run([ghostnet, "predict", IMAGE, "--json"])
    assert json.loads(predicted.stdout)[0]["predictions"][0]["label"] == "Abyssinian"
    evaluated = run([ghostnet, "eval", folder / "labeled", "--model", FLOWERS, "--json"])
    assert json.loads(evaluated.stdout)["images"] == 10
    tuned = run([ghostnet, "finetune", folder / "own", "--out", out, "--cache-dir", tmp_path])
    assert tuned.returncode == 0, tuned.stderr
    (blue, *_) = (folder / "own" / "blue one").iterdir()
    answer = run([ghostnet, "predict", blue, "--model", out / "card.md", "--json"])
    assert json.loads(answer.stdout)[0]["predictions"][0]["label"] == "blue one"


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("train", "--data", "{folder}/own", "--out", "{out}"),
        ("export", "{out}/model.mindir"),
        ("predict", "{image}", "--no-fuse"),
    ],
)
def test_what_needs_mindspore_says_so_in_one_line(
    ghostnet: Path, folder: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    places = {"image": IMAGE, "folder": folder, "out": tmp_path}
    done = run([ghostnet, *(word.format(**places) for word in words)])
    assert done.returncode == 1
    assert done.stderr.startswith("ghostnet: this needs the package mindspore: pip install mind")
    assert done.stderr.count("\n") == 1
