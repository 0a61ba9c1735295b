"""The documentation: pages for everything, and examples that run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import ghostnet

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted((REPOSITORY / "docs").glob("*.md"))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_every_room_has_an_api_page() -> None:
    shown = "".join(page.read_text() for page in (REPOSITORY / "docs/api").glob("*.md"))
    package = REPOSITORY / "ghostnet"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")} - {"cli"}
    assert rooms == {room for room in rooms if f"::: ghostnet.{room}\n" in shown}


@pytest.mark.slow
def test_the_quick_start_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(REPOSITORY)
    *snippets, download = blocks((REPOSITORY / "docs/index.md").read_text(), "python")
    assert "oxford_pets" in download  # not run: it needs the network
    namespace: dict[str, object] = {}
    for snippet in snippets:
        exec(compile(snippet, "index.md", "exec"), namespace)
    assert capsys.readouterr().out == "Abyssinian, 72.1%\n"
    assert namespace["logits"].shape == (1, 37)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["export.md", "kernels.md", "training_kernels.md"])
def test_the_snippets_of_a_page_run(page: str, tmp_path: Path) -> None:
    if page == "export.md":
        pytest.importorskip("onnxruntime", reason="needs the extra export")
    snippets = blocks((REPOSITORY / "docs" / page).read_text(), "python")
    command = [sys.executable, "-c", "\n".join(snippets)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_stages_of_the_architecture_page_are_those_of_an_image() -> None:
    model = ghostnet.hub.open_model("ghostnet/cpu/2.10/ghostnet_v1.0_pets")
    photo = ghostnet.transforms.decode(REPOSITORY / "assets/images/cat.jpg")
    image = model.preprocess(photo)[None]
    logits = ghostnet.kernels.Session(model.architecture, model.parameters)(image)
    page = (REPOSITORY / "docs/architecture.md").read_text()
    for stage, array in {"preprocessed": image, "logits": logits}.items():
        assert f"| {stage} | {array.shape} {array.dtype} |" in page


def test_the_architecture_page_and_its_drawing_show_every_room() -> None:
    page, drawing = (
        (REPOSITORY / "docs" / name).read_text()
        for name in ("architecture.md", "images/architecture.svg")
    )
    package = REPOSITORY / "ghostnet"
    rooms = [path.parent.name for path in package.glob("*/__init__.py")]
    assert [room for room in rooms if f"| `{room}` |" not in page] == []
    assert [room for room in rooms if f">{room}</text>" not in drawing] == []


def test_every_benchmark_is_named_by_something_else() -> None:
    folder = REPOSITORY / "benchmarks"
    benchmarks = [path for path in folder.iterdir() if path.is_file()]
    pages = [REPOSITORY / name for name in ("README.md", "RELEASING.md")] + PAGES
    cards = [*(REPOSITORY / "assets").rglob("*.md"), *folder.rglob("*.yaml")]
    tests = [*(REPOSITORY / "tests").glob("*.py")]
    texts = {path: path.read_text() for path in (*benchmarks, *pages, *cards, *tests)}
    for benchmark in benchmarks:
        imported = rf"\b(?:import|from) {benchmark.stem}\b"
        pattern = rf"\b{re.escape(benchmark.name)}\b|{imported}"
        users = [path for path, text in texts.items() if re.search(pattern, text)]
        assert set(users) - {benchmark}, f"{benchmark.name} is used by nothing; remove it"


def test_the_documents_name_source_files_that_exist() -> None:
    sources = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.splitlines()
    others = {"migration.md"}  # it names files of the model zoo
    pages = [page for page in PAGES if page.name not in others]
    for page in [*pages, REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "README.md"]:
        for name in re.findall(r"`(?:python )?([\w/]+\.(?:py|h|cc|cu))\b", page.read_text()):
            assert any(f"/{path}".endswith(f"/{name}") for path in sources), f"{page.name}: {name}"
