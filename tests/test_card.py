"""Cards are read as written or refused with file, line and field; nothing is guessed."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghostnet.errors import CardError
from ghostnet.hub import cache, catalog
from ghostnet.hub.card import Asset, ModelCard, parse_card, read_card

ONE_X = "noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets"
SIX_HUNDRED = "noah-cvlab/gpu/1.0/ghostnet-600_v1.0_oxford_pets"

CARD = """# A card

---

model-name: GhostNet

backbone-name: GhostNet

module-type: cv

fine-tunable: True

input-shape: [224, 224, 3]

model-version: 1.10

evaluation: top1acc73.8

author: MindSpore team

repo-link: <https://gitee.com/mindspore/models/tree/r1.10/research/cv/ghostnet>

user-id: MindSpore

mindspore-version: 1.10

asset:

-
    file-format: ckpt
    asset-link: <https://download.mindspore.cn/models/ghostnet.ckpt>
    asset-sha256: 722e13be6cd6186dddcd68d5c0a50776d9a8ad8e79db3870556f68d4d2f179e4

license: Apache2.0

summary: GhostNet is used for cv

---

## Performance

| Model    | Top1 |
|:--------:|-----:|
| GhostNet | 73.8 |
"""


def changed(old: str, new: str) -> ModelCard:
    """The card above with one thing changed."""
    assert old in CARD
    return parse_card(CARD.replace(old, new), "card.md")


def test_every_field_is_read_as_written() -> None:
    card = parse_card(CARD, "card.md")
    assert card.model_version == card.mindspore_version == "1.10"
    assert card.fine_tunable is True
    assert card.input_shape == (224, 224, 3)
    assert card.evaluation == "top1acc73.8"
    assert card.accuracy is None
    assert card.dataset is None
    assert card.train_backends == ()
    assert card.repo_link == "https://gitee.com/mindspore/models/tree/r1.10/research/cv/ghostnet"
    assert card.checkpoint.link == "https://download.mindspore.cn/models/ghostnet.ckpt"
    assert card.checkpoint.verifiable
    assert card.claims[0].figure("GhostNet", "Top1") == 73.8
    with pytest.raises(ValueError, match="frozen"):
        card.name = "another"


def test_real_cards_are_read(shared: Path) -> None:
    paths = sorted((shared / "data/hub-cards").rglob("*.md"))
    cards = {path.stem: read_card(path) for path in paths}
    assert len(paths) == 95
    assert cards["ghostnet_050_imagenet2012"].assets[0].sha256 == "ae7771cb"
    assert not cards["ghostnet_050_imagenet2012"].assets[0].verifiable
    assert cards["var"].assets == ()
    assert cards["var"].dataset is None
    assert cards["cgan_G_mnist"].evaluation is None
    pets = cards["ghostnet_v1.0_oxford_pets"]
    assert [asset.format for asset in pets.assets] == ["ckpt", "mslite"]
    assert pets.accuracy == 0.824


def test_claims_of_the_real_card(shared: Path) -> None:
    card = read_card(shared / "data/hub-cards" / f"{ONE_X}.md")
    imagenet, pets, others = card.claims
    assert imagenet.title == "GhostNet on ImageNet2012"
    assert imagenet.figure("GhostNet-600", "Parameters (M)") == 11.9
    assert pets.figure("GhostNet", "FLOPs (M)") == 140
    assert others.figure("Ghost-1x", "Accuracy (Top1)") == 82.4
    assert others.by_model()["Ghost-600"]["Latency (ms)*"] == "-"
    assert others.figure("Ghost-600", "Latency (ms)*") is None
    assert others.figure("No such network", "FLOPs (M)") is None


def test_claims_stand_under_performance_and_outside_code() -> None:
    table = "| Model | A |\n|---|---|\n| x | 1 |\n"
    body = (
        f"## Data\n{table}\n```\n# Performance\n{table}```\n## Performance\n### Speed\n{table}"
        f"## Usage\n{table}"
    )
    card = parse_card(CARD.partition("## Performance")[0] + body, "card.md")
    assert [claim.title for claim in card.claims] == ["Speed"]


def test_table_that_names_a_model_twice_gives_no_figures() -> None:
    card = changed("| GhostNet | 73.8 |", "| GhostNet | 73.8 |\n| GhostNet | 65.8 |")
    assert card.claims[0].by_model() == {}
    assert [row[1] for row in card.claims[0].rows] == ["73.8", "65.8"]


@pytest.mark.parametrize(
    ("old", "new", "field", "value"),
    [
        ("top1acc73.8", "-", "evaluation", None),
        ("evaluation: top1acc73.8", "accuracy: 0.824", "accuracy", 0.824),
        ("evaluation: top1acc73.8", "accuracy: a: 83.78 / b: 84", "evaluation", "a: 83.78 / b: 84"),
        ("top1acc73.8", "it's: so", "evaluation", "it's: so"),
        ("[224, 224, 3]", "[[640, 480, 3], [1, 2]]", "input_shape", ((640, 480, 3), (1, 2))),
        ("[224, 224, 3]", "N/A", "input_shape", None),
        ("is used for cv", "für Bäume & 猫 @ 50 %", "summary", "GhostNet für Bäume & 猫 @ 50 %"),
        (
            "<https://gitee.com/mindspore/models/tree/r1.10/research/cv/ghostnet>",
            "",
            "repo_link",
            None,
        ),
        (
            "module-type: cv",
            "module-type: cv\nlabels: [no, 1.10, daisy]",
            "labels",
            ("no", "1.10", "daisy"),
        ),
        (
            "module-type: cv",
            "module-type: cv\ntrain-backend: gpu/Ascend",
            "train_backends",
            ("gpu", "ascend"),
        ),
        ("module-type: cv", "module-type: cv\nunheard-of: {a: [b]}", "name", "GhostNet"),
        ("\n", "\r\n", "name", "GhostNet"),
        (
            "summary: GhostNet is used for cv\n\n---",
            "summary: GhostNet\n--- \n\n---",
            "summary",
            "GhostNet",
        ),
    ],
)
def test_what_authors_write(old: str, new: str, field: str, value: object) -> None:
    assert getattr(changed(old, new), field) == value


def test_one_asset_with_two_links_is_two_assets() -> None:
    link = "    asset-link: <https://download.mindspore.cn/models/ghostnet.ckpt>\n"
    start, end = CARD.index("-\n    file-format"), CARD.index("license:")
    asset = "- file-format: ckpt\n\n  asset-link: https://a.com/1.ckpt\n\n  asset-link: https://a.com/2.ckpt\n\n"
    assert link in CARD
    card = parse_card(CARD[:start] + asset + CARD[end:], "card.md")
    assert [(a.format, a.link[-6:], a.sha256) for a in card.assets] == [
        ("ckpt", "1.ckpt", None),
        ("ckpt", "2.ckpt", None),
    ]


def test_a_sha256_in_capitals_is_the_same() -> None:
    card = changed("722e13be6cd6186dddcd68d5c0a50776", "722E13BE6CD6186DDDCD68D5C0A50776")
    assert card == parse_card(CARD, card.source)


def test_chinese_edition_is_read() -> None:
    card = parse_card(
        "---\n模型名称：GhostNet\n骨干网络： GhostNet\n模块类型：cv\n可微调：True\n模型版本：1.0\n"
        "作者：某人\n代码仓链接：\n用户ID：noah-cvlab\nMindSpore版本：1.0\n资源：\n\n"
        "- 文件格式：.ckpt  \n  资源链接： <https://a.com/a.ckpt>  \n"
        "  资源SHA256校验码：ae7771cb\n\n"
        "许可证：Apache 2.0\n摘要：对37个类进行分类。\n---\n",
        "card.md",
    )
    assert card.author == "某人"
    assert card.repo_link is None
    assert card.assets == (Asset(format="ckpt", link="https://a.com/a.ckpt", sha256="ae7771cb"),)


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ("fine-tunable: True", "fine-tunable: maybe", 11, "fine-tunable"),
        ("fine-tunable: True", "", 3, "fine-tunable"),
        ("fine-tunable: True", "fine-tunable: *name", 11, "fine-tunable"),
        ("fine-tunable: True", "fine-tunable: True\nfine-tunable: True", 12, "fine-tunable"),
        ("model-name: GhostNet", "model-name: [GhostNet]", 5, "model-name"),
        ("model-name: GhostNet", "model-name:", 5, "model-name"),
        ("[224, 224, 3]", "[224, x, 3]", 13, "input-shape"),
        ("[224, 224, 3]", "[[[[[[[[[1]]]]]]]]]", 13, "input-shape"),
        ("[224, 224, 3]", "[-1]", 13, "input-shape"),
        ("evaluation: top1acc73.8", "accuracy: lots", 17, "accuracy"),
        ("evaluation: top1acc73.8", "accuracy: nan", 17, "accuracy"),
        ("evaluation: top1acc73.8", "accuracy: [0.8]", 17, "accuracy"),
        ("user-id: MindSpore", 'user-id: "\\uD800"', 23, "user-id"),
        ("user-id: MindSpore", "user-id: a\x07b", 23, "user-id"),
        ("user-id: MindSpore", "user-id: `a`", 23, "user-id"),
        ("user-id: MindSpore", "? [a]\n: b", 23, "front matter"),
        ("file-format: ckpt", "file-form: ckpt", 30, "file-format"),
        ("722e", "zzzz", 32, "asset-sha256"),
        ("722e", "722e1", 32, "asset-sha256"),
        (
            "722e13be6cd6186dddcd68d5c0a50776d9a8ad8e79db3870556f68d4d2f179e4",
            "722e",
            32,
            "asset-sha256",
        ),
        ("<https://download.mindspore.cn/models/ghostnet.ckpt>", "../a.ckpt", 31, "asset-link"),
        ("<https://download.mindspore.cn/models/ghostnet.ckpt>", "/a.ckpt", 31, "asset-link"),
        ("<https://download.mindspore.cn/models/ghostnet.ckpt>", "a/../../b", 31, "asset-link"),
        ("<https://download.mindspore.cn/models/ghostnet.ckpt>", "a\\b.ckpt", 31, "asset-link"),
        ("<https://download.mindspore.cn/models/ghostnet.ckpt>", "https://[", 31, "asset-link"),
        ("asset:\n", "asset:\n- text\n", 28, "asset"),
        ("GhostNet is used", "GhostNet: is used", 36, "summary"),
        ("summary: GhostNet is used for cv\n\n---", "summary: GhostNet", 3, "front matter"),
    ],
)
def test_bad_card_is_refused_with_file_line_and_field(
    old: str, new: str, line: int, field: str
) -> None:
    with pytest.raises(CardError) as caught:
        changed(old, new)
    assert f"card.md, line {line}: " in str(caught.value)
    assert field in str(caught.value)


def test_every_problem_is_named() -> None:
    with pytest.raises(CardError) as caught:
        parse_card("---\nmodel-name: GhostNet\nfine-tunable: maybe\n---\n", "card.md")
    assert "line 3: fine-tunable" in str(caught.value)
    assert "line 1: summary" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"---\n---\n", b"---\n- a\n---\n", b"---\ntext\n---\n", b"\xff\xfe", bytes(2**20 + 1)],
)
def test_file_that_is_no_card(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.md"
    path.write_bytes(content)
    with pytest.raises(CardError, match=r"odd\.md"):
        read_card(path)


def test_no_file_and_no_path(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.md", "a\0b"):
        with pytest.raises(CardError):
            read_card(path)


def test_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text("\ufeff---" + CARD.partition("---")[2], encoding="utf-8")
    assert read_card(tmp_path / "card.md").name == "GhostNet"


def test_relative_link_is_resolved_beside_the_card(tmp_path: Path) -> None:
    text = CARD.replace("https://download.mindspore.cn/models/", "")
    (tmp_path / "card.md").write_text(text)
    asset = read_card(tmp_path / "card.md").checkpoint
    assert asset.local_file == tmp_path / "ghostnet.ckpt"
    with pytest.raises(CardError, match="not a local file"):
        _ = parse_card(text, "https://example.com/card.md").checkpoint.local_file


def test_card_without_a_checkpoint_says_so() -> None:
    with pytest.raises(CardError, match="ckpt"):
        _ = changed("file-format: ckpt", "file-format: mslite").checkpoint


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300))
def test_no_front_matter_raises_anything_else(text: str) -> None:
    for candidate in (text, f"---\n{text}\n---\n", CARD.replace("GhostNet is used for cv", text)):
        with suppress(CardError):
            parse_card(candidate, "card.md")


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, len(CARD)),
    st.integers(0, 20),
    st.text(st.sampled_from("\"'{}[]&*!|>%@`#:,-?\\<>~ \n\t\r0a…\x85\ufeff\ud800"), max_size=12),
)
def test_no_damage_raises_anything_else(start: int, length: int, patch: str) -> None:
    with suppress(CardError):
        parse_card(CARD[:start] + patch + CARD[start + length :], "card.md")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "card.md"
    for candidate in (content, b"---\n" + content + b"\n---\n"):
        path.write_bytes(candidate)
        with suppress(CardError):
            read_card(path)


@pytest.mark.parametrize(
    ("uid", "name", "size", "accuracy", "sha256"),
    [
        (ONE_X, "GhostNet", 224, 0.824, "722e13be"),
        (SIX_HUNDRED, "GhostNet-600", 240, 0.869, "a37ea724"),
    ],
)
def test_our_cards(uid: str, name: str, size: int, accuracy: float, sha256: str) -> None:
    card = read_card(catalog.shipped_card(uid))
    assert card.name == name
    assert card.input_shape == (size, size, 3)
    assert card.accuracy == accuracy
    assert card.checkpoint.verifiable
    assert card.checkpoint.sha256 is not None
    assert card.checkpoint.sha256.startswith(sha256)
    assert card.claims[1].figure(name, "Accuracy (Top1)") == pytest.approx(100 * accuracy)


@pytest.mark.parametrize("uid", [ONE_X, SIX_HUNDRED])
def test_our_cards_agree_with_the_hubs(shared: Path, uid: str) -> None:
    ours = read_card(catalog.shipped_card(uid))
    theirs = read_card(shared / "data/hub-cards" / f"{uid}.md")
    same = {
        "name",
        "backbone",
        "module_type",
        "input_shape",
        "model_version",
        "dataset",
        "accuracy",
    }
    assert ours.model_dump(include=same) == theirs.model_dump(include=same)
    assert ours.checkpoint.sha256 == theirs.checkpoint.sha256
    assert ours.checkpoint.link == theirs.checkpoint.link
    folders = [path.name for path in (shared / "data/pets").iterdir()]
    assert ours.labels == tuple(sorted(folders, key=str.lower))


def test_cards_that_ship_are_listed_and_found() -> None:
    assert {ONE_X, SIX_HUNDRED} <= set(catalog.shipped_uids())
    with pytest.raises(CardError, match=ONE_X):
        catalog.shipped_card("noah-cvlab/gpu/1.0/no_such_model")


@pytest.mark.parametrize(
    "uid",
    [
        "",
        "a",
        "a/b",
        "a/b/c/d/e",
        "../b/c/d",
        "a/../c/d",
        "a/b/c/..",
        "/a/b/c",
        "a//c/d",
        "a/b/c/",
        "a\\b/c/d",
        "a/b/c\n",
        "a/b/c d",
        "~/b/c",
        "a/b/é",
        "C:/b/c",
        "a/b/c.md",
        "a/b/" + "c" * 300,
    ],
)
def test_uid_that_is_none(uid: str) -> None:
    with pytest.raises(CardError, match="is not the UID of a hub model"):
        cache.model_folder(uid)


def test_cache_is_the_hub_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GHOSTNET_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache.model_folder(ONE_X) == Path("/home/somebody/.mscache/noah-cvlab/gpu/1.0")
    assert cache.model_folder("mindspore/1.10/ghostnet") == Path(
        "/home/somebody/.mscache/mindspore/1.10"
    )
    monkeypatch.setenv("GHOSTNET_CACHE", str(tmp_path))
    assert cache.cache_root() == tmp_path
    assert cache.cache_root("elsewhere") == Path("elsewhere")


def test_assets_of_other_cards_lie_under_their_hash(tmp_path: Path) -> None:
    asset = parse_card(CARD, "card.md").checkpoint
    assert cache.asset_folder(ONE_X, asset, tmp_path) == tmp_path / "noah-cvlab/gpu/1.0"
    assert cache.asset_folder("my/own/card.md", asset, tmp_path) == (
        tmp_path / "by-sha256" / str(asset.sha256)
    )
