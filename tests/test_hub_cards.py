"""Every Ghost card of the hub ships, with its facts; what can be loaded is, and the rest says why.

The hub's files are not here, so a real server on this machine offers checkpoints of the same names
and shapes, and a copy of the shipped cards names those.
"""

import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from bundled_models import FLOWERS, SHIPPED
from command_line import Ghostnet
from http_server import MisbehavingServer, serving, whole
from random_parameters import random_parameters
from timm_names import mindcv_names

import ghostnet.hub as mshub
from ghostnet.checkpoints import Parameters, parameters_of, write_checkpoint
from ghostnet.data.labels import check_labels
from ghostnet.errors import CardError, IntegrityError
from ghostnet.files import sha256_of
from ghostnet.hub import catalog
from ghostnet.hub.card import parse_card, read_card
from ghostnet.hub.catalog import find_card, shipped_card, shipped_text, shipped_uids
from ghostnet.hub.checkpoint_file import locate
from ghostnet.hub.install import install
from ghostnet.model import Model
from ghostnet.models import GHOSTNET_1X, GHOSTNET_INT8_1X, create_network, find_model
from ghostnet.training.config import Recipe
from ghostnet.training.run.task import start
from ghostnet.verify import Verdict, verify

RELEASES = ("1.3", "1.5", "1.6", "1.7", "1.8", "1.9", "1.10")
IMAGENET = [f"mindspore/{release}/ghostnet_imagenet2012" for release in RELEASES]
QUANT = [f"mindspore/{release}/ghostnetquant_imagenet2012" for release in RELEASES]
INT8 = "noah-cvlab/gpu/1.0/ghostnet_int8_v1.0_oxford_pets"
SHORT = [f"mindspore/{release}/ghostnet_050_imagenet2012" for release in ("2.3", "2.5")]
DETECTORS = [
    *(f"mindspore/{release}/ssdghostnet_coco2017" for release in RELEASES),
    *(f"noah-cvlab/ascend/{release}/ghostnet_ssd_v1.0" for release in ("0.7", "1.0")),
]

STATE = ("global_step", "learning_rate", "momentum", "epoch_num", "step_num", "loss_scale")
"""What a training run saves beside the network and the optimizer's moments."""

Serve = Callable[[str, Parameters], Path]


@pytest.fixture(scope="module")
def imagenet() -> Parameters:
    return random_parameters(GHOSTNET_1X, 1000)


@pytest.fixture(scope="module")
def int8() -> Parameters:
    parameters = random_parameters(GHOSTNET_INT8_1X, 37)
    scales = {key: np.full_like(value, 0.05) for key, value in parameters.items() if "scale" in key}
    return parameters | scales


@pytest.fixture(scope="module")
def mindcv() -> Parameters:
    """A network of width 0.5 under MindCV's names."""
    return mindcv_names(random_parameters(find_model("ghostnet_050").architecture, 1000))


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with serving() as running:
        yield running


@pytest.fixture
def serve(server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Makes the card of a UID name a checkpoint with these parameters, which the server has."""
    assets = tmp_path / "assets"
    shutil.copytree(
        catalog.assets_folder(), assets, ignore=shutil.ignore_patterns("*.jpg", "*.ckpt")
    )
    monkeypatch.setattr(catalog, "assets_folder", lambda: assets)
    monkeypatch.setenv("GHOSTNET_CACHE", str(tmp_path / "cache"))

    def offer(uid: str, parameters: Parameters) -> Path:
        asset = find_card(uid).checkpoint
        file = tmp_path / asset.link.rpartition("/")[2]
        write_checkpoint(_after_training(parameters) if uid in IMAGENET else parameters, file)
        url = server.url(f"/{file.name}", whole(file.read_bytes()))
        digits = sha256_of(file)[: len(str(asset.sha256))]
        card = shipped_card(uid)
        text = re.sub(r"asset-link: .*", f"asset-link: <{url}>", card.read_text())
        card.write_text(re.sub(r"asset-sha256: .*", f"asset-sha256: {digits}", text))
        return file

    return offer


def _after_training(parameters: Parameters) -> Parameters:
    """Return the parameters with the state of a training run beside them, as in the hub's files."""
    trained = [key for key in parameters if "moving_" not in key]
    moments = {f"moments.{key}": np.ones_like(parameters[key]) for key in trained}
    return parameters | moments | {name: np.array([3], np.float32) for name in STATE}


def same(network: Model, parameters: Parameters) -> bool:
    found = network.parameters
    return found.keys() == parameters.keys() and all(
        (found[key] == parameters[key]).all() for key in found
    )


# The facts -----------------------------------------------------------------------------------


def test_every_ghost_card_of_the_hub_ships(shared: Path) -> None:
    root = shared / "data/hub-cards"
    hubs = {str(path.relative_to(root).with_suffix("")) for path in root.rglob("*ghostnet*.md")}
    assert len(hubs) == 28
    assert hubs == set(shipped_uids()) - set(SHIPPED)


@pytest.mark.parametrize("uid", [*IMAGENET, *QUANT, INT8, *SHORT, *DETECTORS])
def test_facts_are_the_hubs(uid: str, shared: Path) -> None:
    ours, theirs = find_card(uid), read_card(shared / "data/hub-cards" / f"{uid}.md")
    same = {"model_version", "mindspore_version", "evaluation", "author", "user_id", "license"}
    assert ours.model_dump(include=same) == theirs.model_dump(include=same)
    assert [a for a in ours.assets if a.format == "ckpt"] == [
        asset.model_copy(update={"folder": ours.assets[0].folder})
        for asset in theirs.assets
        if asset.format == "ckpt"
    ]
    assert (ours.accuracy or 0) * 100 == pytest.approx(_published(uid, str(theirs.evaluation)))


def _published(uid: str, evaluation: str) -> float:
    """The top-1 accuracy that the hub claims, in percent; 0 for a detector."""
    if uid in QUANT or uid == INT8:
        return 82.45
    top1 = re.match(r"top1acc([\d.]+)", evaluation)
    return float(top1[1]) if top1 else 0


def test_cards_that_a_template_makes_have_no_placeholder_left() -> None:
    for uid in shipped_uids():
        assert "$" not in shipped_text(uid)
    assert "mindspore/1.6/ghostnet_imagenet2012" in shipped_text(
        "mindspore/1.6/ghostnet_imagenet2012"
    )


def test_the_quantized_cards_say_what_their_data_set_is() -> None:
    pets = find_card(INT8)
    for uid in QUANT:
        card = find_card(uid)
        assert card.checkpoint.sha256 == pets.checkpoint.sha256
        assert (card.dataset, card.labels) == (pets.dataset, pets.labels)
        assert "not of ImageNet" in card.summary


def test_labels_of_imagenet_and_of_the_pets() -> None:
    labels = find_card(IMAGENET[0]).labels or ()
    assert len(set(labels)) == len(labels) == 1000
    assert (labels[0], labels[281], labels[999]) == ("tench", "tabby", "toilet tissue")
    check_labels(labels)  # a card can also list them
    assert {len(find_card(uid).labels or ()) for uid in (*IMAGENET, *SHORT)} == {1000}
    assert len(find_card(INT8).labels or ()) == 37


def test_a_data_set_without_known_labels_is_refused() -> None:
    text = shipped_text(INT8).replace("labels: Oxford-IIIT Pet", "labels: CIFAR")
    with pytest.raises(
        CardError, match=r"card\.md, line 47: labels: .*ImageNet2012.*found 'CIFAR'"
    ):
        parse_card(text, "card.md")


def test_the_list_says_what_each_needs(ghostnet: Ghostnet) -> None:
    needs = {card["uid"]: card["needs"] for card in ghostnet.json("hub", "list")}
    assert set(needs) == set(shipped_uids())
    expected = {
        **dict.fromkeys(SHIPPED, "nothing: bundled"),
        "noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets": "download",
        INT8: "download",
        **dict.fromkeys(IMAGENET, "download"),
        **dict.fromkeys(QUANT, "download"),
        **dict.fromkeys(SHORT, "download, --short-hash"),
        **dict.fromkeys(DETECTORS, "an object detector: not supported"),
    }
    assert expected.items() <= needs.items()
    out = ghostnet("hub", "list")
    assert all(uid in out for uid in needs)
    assert "--short-hash" in out


# What can be loaded --------------------------------------------------------------------------


@pytest.mark.parametrize("uid", [*IMAGENET, *QUANT, INT8])
def test_a_card_opens_and_installs(
    serve: Serve, imagenet: Parameters, int8: Parameters, uid: str, tmp_path: Path
) -> None:
    parameters = imagenet if uid in IMAGENET else int8
    file = serve(uid, parameters)
    model = mshub.open_model(uid)
    assert same(model, parameters)
    assert model.labels == find_card(uid).labels
    checkpoint = install(uid)
    assert checkpoint.parent == tmp_path / "cache" / Path(uid).parent
    assert checkpoint.read_bytes() == file.read_bytes()
    installed = checkpoint.with_name(f"{Path(uid).name}.md")
    assert read_card(installed).checkpoint.link == checkpoint.as_uri()
    assert read_card(installed).checkpoint.sha256 == sha256_of(file)
    assert read_card(installed).model_version == find_card(uid).model_version


@pytest.mark.parametrize("uid", [IMAGENET[1], QUANT[-1], INT8])
def test_the_hub_line_gives_the_network(
    serve: Serve, imagenet: Parameters, int8: Parameters, uid: str
) -> None:
    parameters = imagenet if uid in IMAGENET else int8
    serve(uid, parameters)
    network = mshub.load(uid, num_classes=len(parameters["classifier.bias"]))
    loaded = parameters_of(network)
    assert all((loaded[key] == parameters[key]).all() for key in parameters)
    assert create_network(find_card(uid).name.lower()).architecture == network.architecture


def test_verify_takes_the_cards(serve: Serve, imagenet: Parameters, mindcv: Parameters) -> None:
    for uid, parameters in ((IMAGENET[0], imagenet), (SHORT[0], mindcv)):
        serve(uid, parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            checks = {check.subject: check for check in verify(uid, allow_short_hash=True)}
        assert not [check for check in checks.values() if check.verdict is Verdict.FAILED]
        assert checks["SHA-256 of the checkpoint"].verdict is Verdict.PASSED
        assert checks["parameter names and shapes"].verdict is Verdict.PASSED
        figure = f"GhostNet on ImageNet2012: {find_card(uid).name}: Parameters (M)"
        assert checks[figure].verdict is Verdict.PASSED


# Short hashes --------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", SHORT)
def test_a_short_hash_is_refused_unless_it_is_allowed(
    serve: Serve, server: MisbehavingServer, mindcv: Parameters, uid: str
) -> None:
    serve(uid, mindcv)
    for refused in (mshub.load, mshub.load_weights, mshub.open_model, install, _fetch):
        with pytest.raises(IntegrityError, match=r"gives 8 of .*--short-hash \(allow_short_hash"):
            refused(uid)
    assert server.requests == []
    with pytest.warns(UserWarning, match="32 bits show that the file was not damaged") as caught:
        model = mshub.open_model(uid, allow_short_hash=True)
    assert len(caught) == 1
    assert len(model.labels) == model.num_classes == 1000
    assert model.architecture == find_model("ghostnet_050").architecture
    assert (model.parameters["conv_stem.weight"] == mindcv["conv_stem.weight"]).all()
    with pytest.raises(IntegrityError):  # that the cache has the file now changes nothing
        mshub.open_model(uid)


def test_a_short_hash_loads_into_a_network(serve: Serve, mindcv: Parameters) -> None:
    serve(SHORT[1], mindcv)
    with pytest.warns(UserWarning, match="32 bits"):
        network = mshub.load(SHORT[1], allow_short_hash=True)
    assert (network.classifier.bias.asnumpy() == mindcv["classifier.bias"]).all()
    with pytest.warns(UserWarning, match="32 bits"):
        weights = mshub.load_weights(SHORT[1], allow_short_hash=True)
    assert weights.keys() == {p.name for p in network.get_parameters()}


def test_a_file_with_other_first_digits_is_refused(
    serve: Serve, server: MisbehavingServer, mindcv: Parameters
) -> None:
    file = serve(SHORT[0], mindcv)
    server.url(f"/{file.name}", whole(file.read_bytes()[:-1] + b"x"))
    with (
        pytest.warns(UserWarning, match="32 bits"),
        pytest.raises(IntegrityError, match=r"has the SHA-256 \w{64} instead of \w{8}"),
    ):
        mshub.open_model(SHORT[0], allow_short_hash=True)


def test_an_allowed_short_hash_does_not_excuse_a_missing_one(tmp_path: Path) -> None:
    text = re.sub(r"  asset-sha256: .*\n", "", shipped_text(INT8))
    (tmp_path / "card.md").write_text(text)
    with pytest.raises(
        IntegrityError,
        match=r"none of the 64 digits .* a file that cannot be verified",
    ):
        mshub.open_model(tmp_path / "card.md", allow_short_hash=True)


def test_a_whole_hash_needs_no_permission_and_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mshub.open_model(FLOWERS, allow_short_hash=True)


def test_the_client_gets_a_copy_with_names_that_it_knows(
    serve: Serve, mindcv: Parameters, tmp_path: Path
) -> None:
    serve(SHORT[0], mindcv)
    with pytest.warns(UserWarning, match="32 bits"):
        checkpoint = install(SHORT[0], allow_short_hash=True)
    card = read_card(checkpoint.with_name(f"{Path(SHORT[0]).name}.md"))
    assert card.checkpoint.verifiable
    assert card.checkpoint.link == checkpoint.as_uri()
    network = create_network(card.name.lower(), num_classes=1000)
    left = ms.load_param_into_net(network, ms.load_checkpoint(str(checkpoint)))
    assert left == ([], [])
    assert (network.classifier.bias.asnumpy() == mindcv["classifier.bias"]).all()


def test_the_command_asks_for_the_short_hash(
    ghostnet: Ghostnet, serve: Serve, mindcv: Parameters, tmp_path: Path
) -> None:
    image = Path(__file__).resolve().parents[1] / "assets/images/cat.jpg"
    file = serve(SHORT[0], mindcv)
    for words in (("predict", image, "--model", SHORT[0]), ("hub", "fetch", SHORT[0])):
        ghostnet(*words, status=1)
        assert "--short-hash" in ghostnet.err
        ghostnet(*words, "--short-hash")
        assert "32 bits show" in ghostnet.err
    ghostnet("hub", "fetch", SHORT[0], "--short-hash", "--from", file)
    ghostnet("hub", "install", SHORT[0], status=1)
    ghostnet("hub", "install", SHORT[0], "--short-hash")
    folder = (tmp_path / "cache" / SHORT[0]).parent
    (renamed,) = folder.glob(f"{Path(SHORT[0]).name}-*.ckpt")
    assert ghostnet.json("eval", _labeled(tmp_path), "--model", renamed)["images"] == 1


def test_export_takes_the_short_hash(
    ghostnet: Ghostnet, serve: Serve, mindcv: Parameters, tmp_path: Path
) -> None:
    pytest.importorskip("onnx", reason="needs the extra export")
    serve(SHORT[0], mindcv)
    ghostnet("export", tmp_path / "model.onnx", "--model", SHORT[0], "--short-hash")


def test_training_starts_from_a_short_hash_where_it_is_allowed(
    serve: Serve, mindcv: Parameters, tmp_path: Path
) -> None:
    serve(SHORT[0], mindcv)
    recipe = Recipe(model=SHORT[0])
    with pytest.raises(IntegrityError):
        start(recipe, 3)
    with pytest.warns(UserWarning, match="32 bits"):
        assert start(recipe, 3, allow_short_hash=True).num_classes == 3


def _labeled(folder: Path) -> Path:
    """A folder with one image, of the class that a bare checkpoint calls class 0."""
    image = Path(__file__).resolve().parents[1] / "assets/images/cat.jpg"
    (folder / "labeled/class 0").mkdir(parents=True)
    shutil.copy(image, folder / "labeled/class 0")
    return folder / "labeled"


# Detectors -----------------------------------------------------------------------------------


def _fetch(name: str | Path) -> Path:
    return locate(find_card(name)).fetch()


@pytest.mark.parametrize("uid", DETECTORS)
@pytest.mark.parametrize(
    "refused", [mshub.load, mshub.load_weights, mshub.open_model, install, verify, _fetch]
)
def test_a_detector_is_refused_in_one_line_that_says_what_it_is(
    uid: str, refused: Callable[[str], object]
) -> None:
    with pytest.raises(CardError) as caught:
        refused(uid)
    message = str(caught.value)
    assert message.startswith(f"{uid}: GhostNet_SSD is an object")
    assert "GhostNet backbone; this package classifies images" in message
    assert "\n" not in message


@pytest.mark.parametrize("uid", DETECTORS)
def test_the_hubs_own_card_of_a_detector_is_refused_too(uid: str, shared: Path) -> None:
    card = shared / "data/hub-cards" / f"{uid}.md"
    for refused in (mshub.load, mshub.open_model):
        with pytest.raises(CardError, match="an object detector with a GhostNet backbone"):
            refused(card)


def test_the_command_refuses_a_detector(ghostnet: Ghostnet, tmp_path: Path) -> None:
    for words in (("predict", tmp_path, "--model"), ("hub", "install"), ("verify",)):
        ghostnet(*words, DETECTORS[0], status=1)
        assert "an object detector" in ghostnet.err
        assert ghostnet.err.count("\n") == 1
    assert "an object detector" in ghostnet("hub", "show", DETECTORS[0]).lower()
