"""The settings of `ghostnet train`, their file, and the log."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostnet.errors import TrainingError
from ghostnet.training.config import (
    DataSettings,
    Layout,
    Lesson,
    Recipe,
    TeacherSettings,
    TrainingConfig,
    as_yaml,
    check,
    located,
    read_config,
)
from ghostnet.training.run.log import Row, read_log, write_log


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"epochs": 0, "data": "."}, "epochs: .*greater than or equal to 1"),
        ({"epochs": "many", "data": "."}, "epochs: .*integer"),
        ({"epoch": 3, "data": "."}, "unknown settings: epoch"),
        ({"val": "1.5", "data": "."}, "neither a folder nor a fraction between 0 and 1"),
        ({}, "data: .*required"),
    ],
)
def test_bad_settings_are_refused(given_settings: dict, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        check(given_settings, "test")


@settings(max_examples=30, deadline=None)
@given(
    st.builds(
        TrainingConfig,
        data=st.builds(
            DataSettings,
            path=st.sampled_from([Path("a b"), Path("/x/ü")]),
            layout=st.sampled_from(Layout),
        ),
        recipe=st.builds(
            Recipe,
            model=st.none() | st.text("abc/: #'", min_size=1),
            learning_rate=st.floats(1e-6, 10),
            nesterov=st.booleans(),
        ),
        teacher=st.builds(TeacherSettings, lesson=st.sampled_from(Lesson)),
    )
)
def test_a_config_comes_back_from_its_file_with_absolute_paths(
    tmp_path_factory: pytest.TempPathFactory, config: TrainingConfig
) -> None:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(as_yaml(config))
    assert read_config(path, {}) == located(config)
    assert read_config(path, {}).data.path.is_absolute()
    assert read_config(path, {"epochs": 7}).recipe.epochs == 7


def test_numbers_are_taken_for_text_and_tildes_for_the_home(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("data: ~/pets\nval: 0.25\nmodel: 7\n")
    config = read_config(path, {})
    assert config.data.path == Path.home() / "pets"
    assert config.data.held_out == 0.25
    assert config.recipe.model == "7"
    path.write_text("data: pets\nval: ~/held out\nunlabeled: [~/more]\nteacher: ~/t.onnx\n")
    config = read_config(path, {})
    assert config.data.held_out == Path.home() / "held out"
    assert config.data.unlabeled == (Path.home() / "more",)


@pytest.mark.parametrize("text", ["", "- a", "{", "a: !!python/name:os.system"])
def test_a_file_that_is_no_config_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(TrainingError, match=r"c\.yaml"):
        read_config(tmp_path / "c.yaml", {})


def test_the_log_comes_back_as_far_as_it_is_wanted(tmp_path: Path) -> None:
    rows = [
        Row(1, 0.1, 2.5, {"top1": 0.25, "balanced": 0.2}, 30.1),
        Row(2, 0.05, 1 / 3, {"top1": 0.5, "balanced": 0.4}, 29.0),
    ]
    write_log(rows, tmp_path)
    assert read_log(tmp_path, 2) == rows
    assert read_log(tmp_path, 1) == rows[:1]
    with pytest.raises(TrainingError, match="rows for 3 epochs, but has 2"):
        read_log(tmp_path, 3)
