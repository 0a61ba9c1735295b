"""Networks of other widths than those that are registered."""

from pathlib import Path

import numpy as np
import pytest
from command_line import Ghostnet
from extras import needs_mindspore
from random_parameters import random_parameters

from ghostnet import create_model
from ghostnet.checkpoints import identify, write_checkpoint
from ghostnet.errors import ModelError
from ghostnet.models import GHOSTNET_1X, find_model, network_spec
from ghostnet.models.registry import model_of


@pytest.mark.parametrize(
    "name", ["ghostnet_075", "GhostNetV2-075", "ghostnetv3_070", "repghostnet_037"]
)
def test_a_network_of_any_width_is_found_by_name_and_by_content(name: str) -> None:
    entry = find_model(name)
    table = entry.architecture
    for form in {table, table.merged}:
        shapes = network_spec(form, 5).parameter_shapes()
        parameters = {key: np.zeros(shape, np.float32) for key, shape in shapes.items()}
        assert identify(parameters) == form
    assert model_of(table.merged).architecture == table


@needs_mindspore
def test_widths_are_arguments_as_in_timm() -> None:
    assert (
        create_model("ghostnet_100", 5, width=0.75).architecture
        == find_model("ghostnet_075").architecture
    )
    assert create_model("ghostnet_130", 5, width=1).architecture == GHOSTNET_1X
    with pytest.raises(ModelError, match="ghostnet_600m does not come in width"):
        create_model("ghostnet_600m", width=0.5)
    with pytest.raises(ModelError, match="does not come in width 9"):
        create_model("ghostnet_100", width=9)


@pytest.mark.parametrize("name", ["ghostnet_005", "ghostnet_999", "ghostnet_07", "vit_100"])
def test_other_numbers_are_no_widths(name: str) -> None:
    with pytest.raises(ModelError, match="other widths are named like ghostnet_075"):
        find_model(name)


def test_a_checkpoint_of_any_width_opens(ghostnet: Ghostnet, tmp_path: Path) -> None:
    write_checkpoint(
        random_parameters(find_model("ghostnet_035").architecture, 3), tmp_path / "c.ckpt"
    )
    image = Path(__file__).parents[1] / "assets/images/cat.jpg"
    (answer,) = ghostnet.json("predict", image, "--model", tmp_path / "c.ckpt", "--top-k", 3)
    assert len(answer["predictions"]) == 3
    answer = ghostnet.json("convert", tmp_path / "c.ckpt", tmp_path / "d.ckpt")
    assert answer["network"] == "ghostnet_035"
