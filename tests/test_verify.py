"""Every claim of a card is measured, and a false one is caught."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundled_models import FLOWER_LABELS, FLOWERS
from command_line import Ghostnet
from PIL import Image
from schedule import at_night
from toy_images import draw

from ghostnet import DatasetError, GhostNet, ghostnet_1x
from ghostnet.checkpoints import Parameters, parameters_of, write_checkpoint
from ghostnet.data import oxford_pets
from ghostnet.files import sha256_of
from ghostnet.hub import read_card
from ghostnet.hub.catalog import assets_folder, find_card, shipped_card, shipped_uids
from ghostnet.model.evaluation import Evaluation
from ghostnet.models import GHOSTNET_1X
from ghostnet.verify import Accuracy, Check, Verdict, count, rounds_to, verify

PETS = "noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets"
INT8 = [
    "noah-cvlab/gpu/1.0/ghostnet_int8_v1.0_oxford_pets",
    *(uid for uid in shipped_uids() if uid.endswith("/ghostnetquant_imagenet2012")),
]
NOWHERE = "http://127.0.0.1:9"
"""A proxy that nobody answers at: there is no network in these tests."""


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTPS_PROXY", NOWHERE)
    monkeypatch.setenv("GHOSTNET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def flowers_card(tmp_path: Path) -> Path:
    """A copy of the bundled card and its checkpoint, to tamper with."""
    card = shipped_card(FLOWERS)
    for suffix in (".md", ".ckpt"):
        shutil.copy(card.with_suffix(suffix), tmp_path)
    return tmp_path / card.name


def replaced(card: Path, old: str, new: str) -> Path:
    text = card.read_text()
    assert old in text
    card.write_text(text.replace(old, new))
    return card


def card_with(parameters: Parameters, card: Path) -> Path:
    """The card with another checkpoint, and that one's hash."""
    checkpoint = card.with_suffix(".ckpt")
    old = sha256_of(checkpoint)
    write_checkpoint(parameters, checkpoint)
    return replaced(card, old, sha256_of(checkpoint))


def failed(checks: list[Check]) -> list[str]:
    return [check.subject for check in checks if check.verdict is Verdict.FAILED]


def verdict(checks: list[Check], subject: str) -> Verdict:
    (found,) = [check.verdict for check in checks if check.subject.endswith(subject)]
    return found


def test_every_claim_of_the_bundled_card_holds(shared: Path) -> None:
    checks = verify(FLOWERS, data=shared / "data/flowers/val")
    judged = [check for check in checks if check.verdict is not Verdict.REPORTED]
    assert {check.verdict for check in judged} == {Verdict.PASSED}
    measured = {check.subject.rpartition(": ")[2]: check.measured for check in checks}
    assert measured["accuracy"] == "0.9243 (342 of 370)"
    assert measured["Parameters (M)"] == "3.9079"
    assert measured["FLOPs (M)"] == "139.88"
    assert measured["size of the checkpoint"] == "15,746,400 bytes"


def test_what_was_not_measured_did_not_pass() -> None:
    checks = verify(PETS)
    assert not failed(checks)
    for subject in (
        "SHA-256 of the checkpoint",
        "parameter names and shapes",
        "accuracy",
        "correct answers, as released",
        "ImageNet2012: GhostNet: Accuracy (Top1)",
        "Ghost-1x: Latency (ms)",
    ):
        assert verdict(checks, subject) is Verdict.NOT_CHECKED
    assert all(check.reason for check in checks if check.verdict is Verdict.NOT_CHECKED)
    for subject in (
        "ImageNet2012: GhostNet: Parameters (M)",
        "ImageNet2012: GhostNet: FLOPs (M)",
        "ImageNet2012: GhostNet-600: FLOPs (M)",
        "Ghost-1x without SE: FLOPs (M)",
        "Ghost-600: FLOPs (M)",
    ):
        assert verdict(checks, subject) is Verdict.PASSED


def test_mobilenet_is_counted_too() -> None:
    assert count("MobileNetV2-1x", 37).multiply_adds / 1e6 == pytest.approx(300, rel=0.01)


@pytest.mark.parametrize(
    ("old", "new", "subject"),
    [
        ("| 3.9 ", "| 3.8 ", "Parameters (M)"),
        ("| 140 ", "| 104 ", "FLOPs (M)"),
        ("[224, 224, 3]", "[192, 192, 3]", "input shape"),
        ("labels: [daisy, ", "labels: [lily, daisy, ", "parameter names and shapes"),
        ("ae9166a3", "ae9166a4", "SHA-256 of the checkpoint"),
    ],
)
def test_a_tampered_card_is_caught(flowers_card: Path, old: str, new: str, subject: str) -> None:
    checks = verify(replaced(flowers_card, old, new))
    assert [found.rpartition(": ")[2] for found in failed(checks)] == [subject]


def test_a_tampered_accuracy_is_caught(flowers_card: Path, shared: Path) -> None:
    replaced(flowers_card, "accuracy: 0.924", "accuracy: 0.942")
    assert failed(verify(flowers_card, data=shared / "data/flowers/val")) == ["accuracy"]


def test_an_accuracy_is_not_judged_on_other_images(flowers_card: Path, tmp_path: Path) -> None:
    images = draw(tmp_path / "images", 2, FLOWER_LABELS)
    checks = verify(flowers_card, data=images)
    assert verdict(checks, "accuracy") is Verdict.NOT_CHECKED
    reasons = [check.reason for check in checks if check.reason]
    assert "the card refers to 370 images, not to these 10" in reasons


def test_a_wrong_checkpoint_under_the_right_name_is_caught(tmp_path: Path) -> None:
    asset = read_card(shipped_card(PETS)).checkpoint
    place = tmp_path / "cache/noah-cvlab/gpu/1.0" / asset.link.rpartition("/")[2]
    write_checkpoint(parameters_of(ghostnet_1x(37)), place)
    checks = verify(PETS)
    assert failed(checks) == ["SHA-256 of the checkpoint"]
    assert checks[0].measured == sha256_of(place)
    assert verdict(checks, "accuracy") is Verdict.NOT_CHECKED


def test_a_wrong_channel_count_is_caught(flowers_card: Path) -> None:
    blocks = list(GHOSTNET_1X.blocks)
    blocks[4] = blocks[4]._replace(se_channels=36)
    network = GhostNet(replace(GHOSTNET_1X, blocks=tuple(blocks)), 5)
    checks = verify(card_with(parameters_of(network), flowers_card))
    assert failed(checks) == ["parameter names and shapes"]
    (check,) = [check for check in checks if check.verdict is Verdict.FAILED]
    assert "blocks.4.se.conv_reduce.weight is (36, 120, 1, 1) instead of (32, 120, 1, 1)" in (
        check.reason
    )


def test_a_missing_and_an_unreadable_checkpoint(flowers_card: Path) -> None:
    checkpoint = flowers_card.with_suffix(".ckpt")
    old = sha256_of(checkpoint)
    checkpoint.write_bytes(b"nonsense")
    assert failed(verify(replaced(flowers_card, old, sha256_of(checkpoint)))) == ["checkpoint"]
    checkpoint.unlink()
    checks = verify(flowers_card)
    assert verdict(checks, "SHA-256 of the checkpoint") is Verdict.NOT_CHECKED


def test_a_hash_of_eight_digits_is_no_proof(flowers_card: Path) -> None:
    whole = sha256_of(flowers_card.with_suffix(".ckpt"))
    checks = verify(replaced(flowers_card, whole, whole[:8]))
    assert verdict(checks, "SHA-256 of the checkpoint") is Verdict.NOT_CHECKED
    assert verdict(checks, "parameter names and shapes") is Verdict.NOT_CHECKED


# Oxford-IIIT Pet -----------------------------------------------------------------------------

LABELS = read_card(shipped_card(PETS)).labels
ABYSSINIAN, AMERICAN_BULLDOG, BENGAL = (
    LABELS.index(name) for name in ("Abyssinian", "american_bulldog", "Bengal")
)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """The data set as it is distributed, but with 5 test images."""
    folder = tmp_path / "pets"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    names = {"Abyssinian": 2, "american_bulldog": 2, "Bengal": 1}
    lines = []
    for class_id, (breed, number) in enumerate(names.items(), 1):
        for index in range(number):
            Image.new("RGB", (40, 40)).save(folder / f"images/{breed}_{index}.jpg")
            lines.append(f"{breed}_{index} {class_id} 1 1\n")
    Image.new("RGB", (40, 40)).save(folder / "images/Bengal_9.jpg")  # not on the list
    (folder / "annotations/test.txt").write_text("".join(lines))
    return folder


def pets_card(tmp_path: Path, card: Path, answer: int) -> Path:
    """A card for a checkpoint that gives the same answer to every image."""
    parameters = parameters_of(ghostnet_1x(37))
    parameters["classifier.weight"] = np.zeros_like(parameters["classifier.weight"])
    parameters["classifier.bias"] = np.eye(37, dtype=np.float32)[answer]
    text = shipped_card(PETS).read_text()
    released = read_card(shipped_card(PETS)).checkpoint
    write_checkpoint(parameters, tmp_path / "pets.ckpt")
    text = text.replace(released.link, "pets.ckpt")
    card.write_text(text.replace(released.sha256, sha256_of(tmp_path / "pets.ckpt")))
    return card


@pytest.mark.parametrize(
    ("answer", "in_class_ids", "in_byte_order"),
    [
        (AMERICAN_BULLDOG, 2, 1),  # 1: american_bulldog, or Bengal in byte order
        *at_night(
            (ABYSSINIAN, 2, 2),  # the first label in both orders
            (sorted(LABELS).index("american_bulldog"), 0, 2),
        ),
    ],
)
def test_pets_are_counted_in_both_label_orders(
    tmp_path: Path, pets: Path, answer: int, in_class_ids: int, in_byte_order: int
) -> None:
    checks = {
        c.subject: c for c in verify(pets_card(tmp_path, tmp_path / "p.md", answer), data=pets)
    }
    assert checks["label order"].measured.startswith(
        f"class ids: {in_class_ids} correct; "
        f"byte order of the folder names: {in_byte_order} correct: "
    )
    assert checks["accuracy"].verdict is Verdict.NOT_CHECKED
    best = max(in_class_ids, in_byte_order)
    assert f"({best} of 5)" in checks["accuracy"].measured
    assert "the card refers to 3,669 images" in checks["accuracy"].reason


def answers(correct: int, order: tuple[str, ...]) -> Evaluation:
    """What evaluating 3,669 images gives if ``correct`` are right and labels are in ``order``."""
    confusion = np.zeros((37, 37), np.int64)
    for truth, label in enumerate(LABELS):
        confusion[truth, order.index(label)] = correct // 37
    confusion[0, order.index(LABELS[0])] += correct % 37
    confusion[5, order.index(LABELS[6])] += 3669 - correct
    return Evaluation(LABELS, confusion, 0, ())


@pytest.mark.parametrize("uid", [PETS, "noah-cvlab/gpu/1.0/ghostnet-600_v1.0_oxford_pets"])
@pytest.mark.parametrize("order", oxford_pets.label_orders(LABELS).items(), ids=lambda o: o[0])
def test_released_counts_are_exact_in_either_order(uid: str, order: tuple) -> None:
    card = read_card(shipped_card(uid))
    expected = {0.824: 3025, 0.869: 3189}[card.accuracy]
    for correct, outcome in ((expected, Verdict.PASSED), (expected - 1, Verdict.FAILED)):
        checks = list(Accuracy(card, answers(correct, order[1])).checks())
        assert verdict(checks, "as released") is outcome
        assert f"{order[0]} fits" in next(c.measured for c in checks if c.subject == "label order")
    assert verdict(list(Accuracy(card, answers(2000, order[1])).checks()), "accuracy") is (
        Verdict.FAILED
    )


@pytest.mark.parametrize("uid", INT8)
def test_the_int8_network_is_held_to_its_accuracy(uid: str) -> None:
    card = find_card(uid)
    for correct, outcome in ((3025, Verdict.PASSED), (3024, Verdict.FAILED)):
        checks = list(Accuracy(card, answers(correct, LABELS)).checks())
        assert verdict(checks, "accuracy") is outcome
        assert checks[0].claim == "0.8245"


def test_an_image_on_the_list_that_is_not_there(pets: Path) -> None:
    (pets / "images/Bengal_0.jpg").unlink()
    with pytest.raises(DatasetError, match=r"1 images of test\.txt are missing"):
        oxford_pets.read_test_set(pets)


def test_a_folder_for_each_breed_serves_too(tmp_path: Path) -> None:
    folder = oxford_pets.read_test_set(draw(tmp_path / "pets", 2, LABELS))
    assert folder.classes == LABELS
    assert len(folder.files) == 37 * 2


# Details -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measured", "claim", "agrees"),
    [
        (3.948905, "3.9", True),
        (3.9501, "3.9", False),
        (0.82447, "0.824", True),
        (82.45, "82.4", True),
        (300.4, "300", True),
        (float("nan"), "1", False),
    ],
)
def test_a_claim_holds_in_all_its_digits(measured: float, claim: str, agrees: bool) -> None:
    assert rounds_to(measured, claim) is agrees


def test_the_command_prints_a_line_for_each_claim(ghostnet: Ghostnet, flowers_card: Path) -> None:
    out = ghostnet("verify", flowers_card)
    assert "passed       GhostNet on five flowers: GhostNet: FLOPs (M): claim 140, measured" in out
    assert "not checked  accuracy: claim 0.924, because needs --data" in out
    replaced(flowers_card, "| 140 ", "| 104 ")
    answer = ghostnet.json("verify", flowers_card, status=1)
    assert answer["failed"] is True
    (wrong,) = [check for check in answer["checks"] if check["verdict"] == "failed"]
    assert (wrong["claim"], wrong["measured"]) == ("104", "139.88")
    ghostnet("verify", assets_folder() / "nothing.md", status=1)
