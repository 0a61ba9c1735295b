"""From a name to a network: the right weights, or an error that says what to do."""

import shutil
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from bundled_models import FLOWER_LABELS, FLOWERS

import ghostnet.hub as mshub
from ghostnet.checkpoints import parameters_of, write_checkpoint
from ghostnet.errors import CardError, CheckpointError, FetchError, IntegrityError
from ghostnet.files import sha256_of
from ghostnet.hub.catalog import assets_folder
from ghostnet.models import GhostNet, create_network

PETS = "noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets"


def write_card(folder: Path, network: GhostNet, name: str = "ghostnet_050", **changes: str) -> Path:
    """A card with a checkpoint of ``network`` beside it."""
    write_checkpoint(parameters_of(network), folder / "model.ckpt")
    text = (assets_folder() / f"{FLOWERS}.md").read_text()
    replacements = {
        "model-name: GhostNet\n": f"model-name: {name}\n",
        "ghostnet_v1.0_flowers.ckpt": "model.ckpt",
        str(sha256_of(assets_folder() / f"{FLOWERS}.ckpt")): str(sha256_of(folder / "model.ckpt")),
        **changes,
    }
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "card.md").write_text(text)
    return folder / "card.md"


@pytest.fixture
def small() -> GhostNet:
    return create_network("ghostnet_050", 5)


def test_the_hub_line_gives_the_networks_weights() -> None:
    network = mshub.load(FLOWERS, num_classes=5)
    assert isinstance(network, GhostNet)
    weights = mshub.load_weights(FLOWERS)
    for parameter in network.get_parameters():
        np.testing.assert_array_equal(parameter.asnumpy(), weights[parameter.name].asnumpy())


def test_num_classes_is_the_checkpoints_unless_said(small: GhostNet, tmp_path: Path) -> None:
    assert mshub.load(write_card(tmp_path, small)).num_classes == 5


def test_another_num_classes_keeps_the_backbone_and_says_so(
    small: GhostNet, tmp_path: Path
) -> None:
    card = write_card(tmp_path, small)
    with pytest.warns(UserWarning, match="trained for 5 classes: the classifier for 9") as caught:
        network = mshub.load(card, num_classes=9)
    assert len(caught) == 1
    assert network.classifier.weight.shape == (9, 1280)
    kept, expected = parameters_of(network), parameters_of(small)
    assert all((kept[name] == expected[name]).all() for name in kept if "classifier" not in name)


def test_without_weights_nothing_is_fetched(tmp_path: Path) -> None:
    network = mshub.load(PETS, pretrained=False, num_classes=37, cache_dir=tmp_path)
    assert network.num_classes == 37
    assert mshub.load(PETS, pretrained=False, cache_dir=tmp_path).num_classes == 37
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_cannot_be_had_says_how_to_place_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody answers there
    with pytest.raises(FetchError, match=f"ghostnet hub fetch {PETS} --from FILE"):
        mshub.load(PETS, num_classes=37, cache_dir=tmp_path)


def test_a_flipped_byte_is_caught(small: GhostNet, tmp_path: Path) -> None:
    card = write_card(tmp_path, small)
    content = bytearray((tmp_path / "model.ckpt").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model.ckpt").write_bytes(content)
    assert ms.load_checkpoint(str(tmp_path / "model.ckpt"))  # MindSpore itself does not notice
    with pytest.raises(IntegrityError, match=r"model\.ckpt"):
        mshub.load(card)


def test_the_wrong_checkpoint_under_a_right_hash_is_caught(tmp_path: Path) -> None:
    card = write_card(tmp_path, create_network("ghostnet_nose", 5), name="GhostNet")
    with pytest.raises(CheckpointError, match=r"missing: blocks\.3\.se\.conv_reduce\.weight"):
        mshub.load(card)


def test_a_card_of_another_network_is_refused(small: GhostNet, tmp_path: Path) -> None:
    card = write_card(tmp_path, small, name="vgg19")
    with pytest.raises(CardError, match="this package has no model named"):
        mshub.load(card)


def test_a_hash_of_eight_digits_is_not_trusted(small: GhostNet, tmp_path: Path) -> None:
    card = write_card(tmp_path, small)
    sha256 = str(mshub.read_card(card).assets[0].sha256)
    card.write_text(card.read_text().replace(sha256, sha256[:8]))
    with pytest.raises(IntegrityError, match=r"gives 8 of the 64 digits"):
        mshub.load(card, cache_dir=tmp_path)


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "a//b/c", "nobody/gpu/1.0/nothing"])
def test_names_that_are_no_model(name: str) -> None:
    with pytest.raises(CardError):
        mshub.load(name)


def test_a_bare_checkpoint_opens(small: GhostNet, tmp_path: Path) -> None:
    write_checkpoint(parameters_of(small), tmp_path / "bare.ckpt")
    model = mshub.open_model(tmp_path / "bare.ckpt")
    assert model.labels == tuple(f"class {index}" for index in range(5))
    assert model.preprocess.image_size == 224
    assert not model.network.training


def test_an_opened_card_knows_its_labels() -> None:
    assert mshub.open_model(FLOWERS).labels == FLOWER_LABELS


def test_a_cached_checkpoint_serves_from_any_cache(small: GhostNet, tmp_path: Path) -> None:
    """What the real client put into the cache is found there."""
    card = write_card(tmp_path, small)
    url = "https://download.invalid/zoo/model.ckpt"
    text = card.read_text().replace("asset-link: <model.ckpt>", f"asset-link: <{url}>")
    card.write_text(text)
    digest = str(sha256_of(tmp_path / "model.ckpt"))
    place = tmp_path / "cache" / "by-sha256" / digest
    place.mkdir(parents=True)
    shutil.move(tmp_path / "model.ckpt", place / "model.ckpt")
    assert mshub.load(card, cache_dir=tmp_path / "cache").num_classes == 5


OPENED = """
import sys
from collections import Counter
from ghostnet import open_model
opened = Counter()
def note(event, arguments):
    if event == "open" and arguments[1]:  # with a mode: by Python's open, which calls the system's
        opened[str(arguments[0])] += 1
sys.addaudithook(note)
open_model()
print([count for path, count in opened.items() if path.endswith(("_pets.md", "_pets.ckpt"))])
"""


def test_a_name_is_resolved_once() -> None:
    """One look at the card, and one at the checkpoint."""
    done = subprocess.run(
        [sys.executable, "-c", OPENED], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[1, 1]\n"


def test_importing_the_package_does_not_import_mindspore() -> None:
    code = "import sys, ghostnet, ghostnet.hub, ghostnet.cli; print('mindspore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_labels_that_do_not_match_the_classes_are_refused(small: GhostNet, tmp_path: Path) -> None:
    card = write_card(tmp_path, small, **{"[daisy, dandelion,": "[daisy,"})
    with pytest.raises(CardError, match="there are 4, but the checkpoint has 5 classes"):
        mshub.open_model(card)


@pytest.mark.parametrize(
    ("shape", "image_size"),
    [("[192, 192, 3]", 192), ("[3, 192, 192]", 224), ("[192, 160, 3]", 224)],
)
def test_images_are_prepared_for_the_cards_input_shape(
    small: GhostNet, tmp_path: Path, shape: str, image_size: int
) -> None:
    card = write_card(tmp_path, small, **{"input-shape: [224, 224, 3]": f"input-shape: {shape}"})
    assert mshub.open_model(card).preprocess.image_size == image_size
