"""What `install` lays is what the real hub client takes: by its rules, and by running it."""

import hashlib
import importlib.util
import io
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any

import mindspore as ms
import pytest
import yaml
from bundled_models import FLOWERS
from schedule import at_night

from ghostnet.errors import CardError, FetchError, IntegrityError
from ghostnet.hub.cache import model_folder
from ghostnet.hub.catalog import assets_folder, find_card, shipped_text, shipped_uids
from ghostnet.hub.install import ASSETS, ENTRY, install
from ghostnet.web import DownloadLimits

PETS = "noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets"
ONCE = DownloadLimits(2**20, connect_time=1, attempts=1)

TRAIN_DATASETS = {"Oxford-IIIT Pet", "ImageNet2012", "coco2017"}
"""Of the client's list."""

MANDATORY = {
    "backbone-name",
    "module-type",
    "fine-tunable",
    "model-version",
    "author",
    "update-time",
    "repo-link",
    "user-id",
    "used-for",
    "mindspore-version",
    "license",
    "summary",
}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends every request that leaves this machine to a proxy that is not there."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def header_by_the_clients_rules(path: Path) -> dict[str, Any]:
    """The front matter as the client reads it, once it has passed what the client checks."""
    lines = path.read_text(encoding="ascii").splitlines()
    fences = [number for number, line in enumerate(lines) if line.startswith("---")]
    assert len(fences) == 2
    header = yaml.load("\n".join(lines[fences[0] + 1 : fences[1]]), Loader=yaml.FullLoader)
    assert header.keys() >= MANDATORY
    assert isinstance(header["fine-tunable"], bool)
    assert isinstance(header.get("accuracy", 0.0), float)
    assert header["module-type"].split("-")[0] == "cv"
    assert header["used-for"] == "inference"
    assert header.get("train-dataset", "Oxford-IIIT Pet") in TRAIN_DATASETS
    for field, value in header.items():
        assert field in ("repo-link", "asset", "evaluation") or ":" not in str(value)
    scheme, _, host, owner, repo, tree, branch, *folder = header["repo-link"].strip("<>").split("/")
    assert (scheme, tree, folder[-1]) == ("https:", "tree", "ghostnet")
    assert host.endswith(".com")
    assert owner
    assert repo
    assert branch
    for asset in header.get("asset", ()):
        assert asset.keys() >= {"asset-link", "asset-sha256", "file-format"}
    return header


def entry_of(folder: Path) -> ModuleType:
    """The entry file, imported as the client imports it."""
    path = folder / "ghostnet/mindspore_hub_conf.py"
    spec = importlib.util.spec_from_file_location("mindspore_hub_conf.py", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("uid", shipped_uids())
def test_every_card_keeps_the_clients_rules(uid: str, tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text(shipped_text(uid))
    header_by_the_clients_rules(tmp_path / "card.md")


def test_whole_model_is_laid(tmp_path: Path) -> None:
    checkpoint = install(FLOWERS, tmp_path)
    folder = model_folder(FLOWERS, tmp_path)
    header = header_by_the_clients_rules(folder / "ghostnet_v1.0_flowers.md")
    (asset,) = header["asset"]
    link = asset["asset-link"].strip("<>")
    assert folder / link.rpartition("/")[2] == checkpoint
    with urllib.request.urlopen(link) as laid:
        assert laid.read() == (assets_folder() / f"{FLOWERS}.ckpt").read_bytes()
    assert entry_of(folder).create_network("ghostnet", num_classes=5).num_classes == 5
    assert install(FLOWERS, tmp_path) == checkpoint


@pytest.mark.usefixtures("offline")
def test_without_the_checkpoint_the_rest_is_laid(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=f"ghostnet hub fetch {PETS} --from FILE"):
        install(PETS, tmp_path, limits=ONCE)
    folder = model_folder(PETS, tmp_path)
    header = header_by_the_clients_rules(folder / "ghostnet_v1.0_oxford_pets.md")
    assert "asset" not in header
    assert header["model-name"] == "GhostNet"
    assert (folder / "ghostnet/mindspore_hub_conf.py").is_file()


@pytest.mark.usefixtures("offline")
def test_wrong_checkpoint_is_not_linked(tmp_path: Path) -> None:
    folder = model_folder(PETS, tmp_path)
    folder.mkdir(parents=True)
    (folder / "ghostnet_1x_pets.ckpt").write_bytes(b"wrong")
    with pytest.raises((FetchError, IntegrityError), match="set aside"):
        install(PETS, tmp_path, limits=ONCE)
    assert "asset" not in header_by_the_clients_rules(folder / "ghostnet_v1.0_oxford_pets.md")


def test_unknown_model_is_not_laid(tmp_path: Path) -> None:
    with pytest.raises(CardError):
        install("noah-cvlab/gpu/1.0/none", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_entry_file_is_one_text(tmp_path: Path) -> None:
    install(FLOWERS, tmp_path)
    root = Path(__file__).resolve().parents[1]
    laid = model_folder(FLOWERS, tmp_path) / "ghostnet/mindspore_hub_conf.py"
    for path in (root / "hub_conf.py", root / "mindspore_hub_conf.py", laid):
        assert path.read_text() == ENTRY
    entry = entry_of(laid.parents[1])
    assert entry.create_network(37).num_classes == 37
    assert entry.create_network(num_classes=37).num_classes == 37


KILLED = """
import hashlib, os, re, shutil, signal, sys
from itertools import count
from pathlib import Path
from ghostnet.hub.install import ASSETS, ENTRY, install

uid, state, cache = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
folder = cache / Path(uid).parent
card = folder / f"{Path(uid).name}.md"

def is_whole(may_lack_asset):
    if not card.exists():
        return may_lack_asset
    text = card.read_text()
    asset = re.search(r"asset-link: <file://(.*)>\\s+asset-sha256: (\\w+)", text)
    if not asset:
        return may_lack_asset and "asset-link" not in text
    return hashlib.sha256(Path(asset[1]).read_bytes()).hexdigest() == asset[2]

def install_until(step):
    steps = count(1)
    def kill(event, arguments):
        if event in STEPS and str(arguments[0]).startswith(str(cache)) and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(kill)
    install(uid, cache)
    os._exit(0)

STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.link"}
for step in count(1):
    shutil.rmtree(cache, ignore_errors=True)
    shutil.copytree(state, cache)
    had_asset = is_whole(False)
    if not os.fork():
        install_until(step)
    status = os.wait()[1]
    assert is_whole(not had_asset), step
    if status == 0:
        assert is_whole(False)
        break
    assert status == signal.SIGKILL, status
print(step)
"""


@pytest.mark.parametrize(
    "before", ["nothing", "another version", *at_night("the same", "a card alone")]
)
def test_a_reader_finds_a_whole_pair_wherever_an_installation_is_killed(
    before: str, tmp_path: Path
) -> None:
    state, cache = tmp_path / "state", tmp_path / "cache"
    state.mkdir()
    if before != "nothing":
        install(FLOWERS, cache)
        cache.rename(state)
        folder = model_folder(FLOWERS, state)
        card, (checkpoint,) = folder / "ghostnet_v1.0_flowers.md", folder.glob("*.ckpt")
        text = card.read_text()
        if before == "another version":
            checkpoint.rename(folder / "ghostnet_v1.0_flowers-0123456789ab.ckpt")
            (folder / "ghostnet_v1.0_flowers-0123456789ab.ckpt").write_bytes(b"old")
            text = re.sub(r"flowers-\w+", "flowers-0123456789ab", text)
            text = re.sub(
                r"(asset-sha256: )\w+", rf"\g<1>{hashlib.sha256(b'old').hexdigest()}", text
            )
            card.write_text(text)
        if before == "a card alone":
            checkpoint.unlink()
            card.write_text(ASSETS.sub("", text))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, FLOWERS, str(state), str(cache)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The genuine client on the cache in `tmp_path`; only its look at the repo-link is answered
    here, so that the test needs no network."""
    hub = pytest.importorskip(
        "mindspore_hub", reason="needs the genuine mindspore_hub, which is not on the package index"
    )
    from mindspore_hub._utils import check

    def urlopen(request: urllib.request.Request, **options: Any) -> Any:
        if request.full_url.startswith("https://github.com/"):
            return io.BytesIO()
        return urllib.request.urlopen(request, **options)

    monkeypatch.setattr(check, "urlopen", urlopen)
    monkeypatch.setattr(socket, "gethostbyname", lambda host: "192.0.2.1")
    monkeypatch.setattr("mindspore_hub.manage.CACHE_DIR", str(tmp_path))
    return hub


def test_genuine_validator_passes_every_card(
    client: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mindspore_hub._utils import check

    monkeypatch.setattr(check.ValidMarkdown, "_validate_repo_link", lambda self, link: None)
    for uid in shipped_uids():
        (tmp_path / "card.md").write_text(shipped_text(uid))
        header = check.ValidMarkdown(str(tmp_path / "card.md")).check_markdown_file()
        assert header["model-name"] == find_card(uid).name


def test_genuine_client_loads_the_weights(client: ModuleType, tmp_path: Path) -> None:
    checkpoint = ms.load_checkpoint(str(install(FLOWERS, tmp_path)))
    network = client.load(FLOWERS, num_classes=5)
    loaded = network.parameters_dict()
    assert loaded.keys() == checkpoint.keys()
    assert all((loaded[name].asnumpy() == checkpoint[name].asnumpy()).all() for name in loaded)


@pytest.mark.usefixtures("offline")
def test_genuine_client_works_without_the_checkpoint(client: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FetchError):
        install(PETS, tmp_path, limits=ONCE)
    assert client.load(PETS, num_classes=37, pretrained=False).num_classes == 37
    with pytest.raises(ValueError, match="has no asset"):
        client.load(PETS, num_classes=37)
