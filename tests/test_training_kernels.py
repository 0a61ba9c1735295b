"""The fused operators of training against MindSpore's own: values, gradients, moving statistics."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import family
import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn
from mindspore.dataset import GeneratorDataset
from mindspore.train import Model
from schedule import at_night
from tiny_network import TINY, TINY_MOBILENET

from ghostnet import fuse, kernels
from ghostnet.errors import KernelError
from ghostnet.kernels.cpu.training import FusedBottleneck, FusedInvertedResidual
from ghostnet.kernels.cpu.training_layers import (
    FusedDepthwise,
    FusedGhostModule,
    FusedNorm,
    FusedPointwise,
    FusedSqueezeExcite,
    FusedStem,
)
from ghostnet.models import Architecture, ClassificationNetwork, build_network, create_network
from ghostnet.models.layers import (
    ConvUnit,
    GhostBottleneck,
    GhostModule,
    HardSwish,
    SqueezeExcite,
    convolution,
    depthwise,
)
from ghostnet.models.mobilenet_v2 import InvertedResidual

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels: {kernels.unavailable_reason()}"
)

TOLERANCE = 1e-4
"""Of the largest value of what is compared."""


@pytest.fixture(autouse=True)
def graph_mode() -> None:
    mindspore.set_context(mode=mindspore.GRAPH_MODE)


@pytest.fixture(params=kernels.instruction_sets() if kernels.available() else ())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set of this processor in turn."""
    before = kernels.instruction_set()
    kernels.set_instruction_set(request.param)
    yield request.param
    kernels.set_instruction_set(before)


class ConvolutionAndNorm(nn.Cell):
    """The plain network's stem."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = convolution(3, 16, 3, stride=2)
        self.norm = nn.BatchNorm2d(16)
        self.act = nn.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


class FusedConvolutionAndNorm(nn.Cell):
    """The same, fused."""

    def __init__(self, plain: ConvolutionAndNorm) -> None:
        super().__init__(auto_prefix=False)
        self.conv = FusedStem(plain.conv)
        self.norm = FusedNorm(plain.norm, plain.act)

    def construct(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class PlainSum(nn.Cell):
    """A Ghost module and a residual, which is its input twice."""

    def __init__(self) -> None:
        super().__init__()
        self.ghost = GhostModule(12, 24, activation=None)

    def construct(self, x: Tensor) -> Tensor:
        return self.ghost(x) + mindspore.ops.cat((x, x), axis=1)


class FusedSum(nn.Cell):
    """The same, fused."""

    def __init__(self, plain: PlainSum) -> None:
        super().__init__(auto_prefix=False)
        self.ghost = FusedGhostModule(plain.ghost, residual=True)

    def construct(self, x: Tensor) -> Tensor:
        return self.ghost(x, mindspore.ops.cat((x, x), axis=1))


def fused_ghost(module: GhostModule) -> nn.Cell:
    return FusedGhostModule(module, residual=False)


Case = tuple[Callable[[], nn.Cell], Callable[[nn.Cell], nn.Cell], tuple[int, ...]]

CASES: dict[str, Case] = {
    "stem": (ConvolutionAndNorm, FusedConvolutionAndNorm, (2, 3, 33, 38)),
    "pointwise": (lambda: ConvUnit(13, 29, activation=nn.ReLU), FusedPointwise, (3, 13, 9, 7)),
    "pointwise of odd planes": (
        lambda: ConvUnit(8, 96, activation=nn.ReLU6),
        FusedPointwise,
        (4, 8, 19, 23),
    ),
    "pointwise narrowing": (lambda: ConvUnit(30, 7), FusedPointwise, (2, 30, 5, 3)),
    "pointwise of few pixels": (lambda: ConvUnit(9, 14), FusedPointwise, (5, 9, 2, 1)),
    "depthwise": (lambda: depthwise(5, 3), FusedDepthwise, (2, 5, 14, 14)),
    "depthwise 3, stride 2": (lambda: depthwise(6, 3, stride=2), FusedDepthwise, (2, 6, 15, 22)),
    "depthwise 5": (lambda: depthwise(4, 5), FusedDepthwise, (3, 4, 7, 7)),
    "depthwise 5, stride 2": (lambda: depthwise(4, 5, stride=2), FusedDepthwise, (2, 4, 28, 13)),
    "depthwise, hard swish": (
        lambda: depthwise(4, 3, activation=HardSwish),
        FusedDepthwise,
        (2, 4, 9, 11),
    ),
    "pointwise, ReLU6": (
        lambda: ConvUnit(13, 29, activation=nn.ReLU6),
        FusedPointwise,
        (3, 13, 9, 7),
    ),
    "depthwise, ReLU6, stride 2": (
        lambda: depthwise(6, 3, stride=2, activation=nn.ReLU6),
        FusedDepthwise,
        (2, 6, 15, 22),
    ),
    "inverted residual": (
        lambda: InvertedResidual(8, 20, 8),
        FusedInvertedResidual,
        (2, 8, 9, 14),
    ),
    "inverted residual without expansion": (
        lambda: InvertedResidual(6, 6, 11, stride=2),
        FusedInvertedResidual,
        (3, 6, 12, 7),
    ),
    "ghost": (lambda: GhostModule(10, 18), fused_ghost, (2, 10, 12, 17)),
    "ghost, hard swish": (lambda: GhostModule(4, 10, HardSwish), fused_ghost, (3, 4, 7, 7)),
    "ghost with residual": (PlainSum, FusedSum, (2, 12, 10, 8)),
    "squeeze-excite": (lambda: SqueezeExcite(20, 8), FusedSqueezeExcite, (3, 20, 7, 5)),
}


BLOCKS = {
    "attention": partial(GhostBottleneck, 6, 14, 6, attention="nearest"),
    "attention, interpolated": partial(GhostBottleneck, 6, 14, 8, attention="bilinear"),
    "branches": partial(GhostBottleneck, 6, 10, 6, form="branched"),
    "branches, hard swish, stride 2": partial(
        GhostBottleneck, 6, 10, 8, stride=2, form="branched", activation=HardSwish
    ),
    "branches 5, stride 2, with attention": partial(
        GhostBottleneck,
        *(6, 12, 6),
        kernel_size=5,
        stride=2,
        se_channels=8,
        form="branched",
        attention="nearest",
    ),
    "RepGhost": partial(GhostBottleneck, 6, 9, 6, family="repghost", form="branched"),
    "RepGhost, stride 2": partial(
        GhostBottleneck, 6, 9, 7, stride=2, family="repghost", form="branched"
    ),
}
"""Bottlenecks of GhostNetV2, GhostNetV3 and RepGhost."""


def randomise(cell: nn.Cell, random: np.random.Generator) -> None:
    """Parameters that tell every term of a gradient from the others."""
    for parameter in cell.get_parameters():
        noise = random.normal(size=parameter.shape) * 0.3
        center = 1.0 if parameter.name.endswith(("gamma", "variance")) else 0.0
        parameter.set_data(Tensor(np.abs(noise + center) if center else noise, mindspore.float32))


def loss_and_gradients(
    cell: nn.Cell, parameters: list[mindspore.Parameter], x: Tensor, weights: Tensor
) -> dict[str, np.ndarray]:
    """Of a weighted sum of the output, to the input and the parameters."""

    def loss(x: Tensor) -> Tensor:
        return (cell(x) * weights).sum()

    value, (dx, gradients) = mindspore.value_and_grad(loss, 0, parameters)(x)
    named = {p.name: g for p, g in zip(parameters, gradients, strict=True)}
    return {name: t.asnumpy() for name, t in ({"loss": value, "input": dx} | named).items()}


def assert_close(
    found: dict[str, np.ndarray], expected: dict[str, np.ndarray], floor: float = 1e-2
) -> None:
    """Every array within the tolerance of the largest gradient or value, or of the floor."""
    for name, array in expected.items():
        scale = max(np.abs(array).max(), floor)
        difference = np.abs(found[name] - array).max()
        assert difference <= TOLERANCE * scale, f"{name}: off by {difference} of {scale}"


def values(cell: nn.Cell) -> dict[str, np.ndarray]:
    return {parameter.name: parameter.asnumpy().copy() for parameter in cell.get_parameters()}


@pytest.mark.parametrize("name", CASES)
def test_layer_is_that_of_mindspore(name: str, instruction_set: str) -> None:
    make, fused, shape = CASES[name]
    random = np.random.default_rng(7)
    plain = make().set_train()
    randomise(plain, random)
    before = values(plain)
    x = Tensor(random.normal(0.5, 1, shape).astype(np.float32))
    weights = Tensor(random.normal(size=plain(x).shape).astype(np.float32))
    mindspore.load_param_into_net(plain, {n: mindspore.Parameter(v) for n, v in before.items()})
    expected = loss_and_gradients(plain, plain.trainable_params(), x, weights) | {
        f"after {n}": v for n, v in values(plain).items()
    }
    mindspore.load_param_into_net(plain, {n: mindspore.Parameter(v) for n, v in before.items()})
    cell = fused(plain).set_train()
    found = loss_and_gradients(cell, plain.trainable_params(), x, weights) | {
        f"after {n}": v for n, v in values(plain).items()
    }
    assert_close(found, expected)


@pytest.mark.parametrize("name", BLOCKS)
def test_block_is_that_of_mindspore_for_any_number_of_threads(
    name: str, kernel_settings: None
) -> None:
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    random = np.random.default_rng(7)
    plain = BLOCKS[name]().set_train()
    randomise(plain, random)
    before = values(plain)
    x = Tensor(random.normal(0.5, 1, (3, 6, 9, 14)).astype(np.float32))
    weights = Tensor(random.normal(size=plain(x).shape).astype(np.float32))

    def answer(cell: nn.Cell) -> dict[str, np.ndarray]:
        mindspore.load_param_into_net(plain, {n: Parameter(v.copy()) for n, v in before.items()})
        gradients = loss_and_gradients(cell, plain.trainable_params(), x, weights)
        return gradients | {f"after {n}": v for n, v in values(plain).items()}

    expected = answer(plain)
    cell = FusedBottleneck(plain).set_train()
    kernels.set_threads(1)
    found = answer(cell)
    # Shifts and factors before a norm have no gradient but that of rounding.
    assert_close(found, expected, floor=3.0)
    for threads in (2, 3):
        kernels.set_threads(threads)
        for key, array in answer(cell).items():
            np.testing.assert_array_equal(array, found[key], key)


@pytest.mark.parametrize(
    "name", ["pointwise narrowing", "depthwise 5, stride 2", "ghost, hard swish", "squeeze-excite"]
)
def test_gradients_are_finite_differences(name: str) -> None:
    make, fused, shape = CASES[name]
    random = np.random.default_rng(3)
    plain = make().set_train()
    randomise(plain, random)
    cell = fused(plain).set_train()
    x = random.normal(0.5, 1, shape).astype(np.float32)
    weights = random.normal(size=cell(Tensor(x)).shape).astype(np.float32)
    parameters = plain.trainable_params()
    gradients = loss_and_gradients(cell, parameters, Tensor(x), Tensor(weights))

    def loss() -> float:
        return float((cell(Tensor(x)).asnumpy().astype(np.float64) * weights).sum())

    def slope(change: Callable[[np.ndarray], None], center: np.ndarray) -> tuple[float, np.ndarray]:
        """Of the loss along a random direction of length 1, and that direction."""
        step = 1e-3
        direction = random.normal(size=center.shape)
        direction /= np.linalg.norm(direction)
        sides = []
        for sign in (1, -1):
            change((center + sign * step * direction).astype(np.float32))
            sides.append(loss())
        change(center)
        return (sides[0] - sides[1]) / (2 * step), direction

    def set_input(to: np.ndarray) -> None:
        x[:] = to

    places = {p.name: (lambda to, p=p: p.set_data(Tensor(to)), p.asnumpy()) for p in parameters}
    for name, (change, center) in (places | {"input": (set_input, x)}).items():
        found, direction = slope(change, center.copy())
        expected = (gradients[name] * direction).sum()
        assert found == pytest.approx(expected, rel=0.02, abs=0.02), name


def test_relu6_has_no_gradient_above_six(instruction_set: str) -> None:
    random = np.random.default_rng(3)
    x, weights = (Tensor(random.normal(size=(2, 4, 5, 7)), mindspore.float32) for _ in range(2))
    plain = nn.SequentialCell(nn.BatchNorm2d(4, beta_init=5.5), nn.ReLU6()).set_train()
    norm, activation = plain
    expected = loss_and_gradients(plain, plain.trainable_params(), x, weights)
    fused = FusedNorm(norm, activation).set_train()
    assert_close(loss_and_gradients(fused, plain.trainable_params(), x, weights), expected)


def network(name: str) -> ClassificationNetwork:
    mindspore.set_seed(5)
    return create_network(name, num_classes=5, drop_rate=0.0).set_train()


def tiny(architecture: Architecture) -> ClassificationNetwork:
    mindspore.set_seed(5)
    return build_network(architecture, num_classes=5, drop_rate=0.0).set_train()


def batch(size: int = 64, count: int = 8) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(11)
    images = random.normal(size=(count, 3, size, size)).astype(np.float32)
    return Tensor(images), Tensor(random.integers(0, 5, count).astype(np.int32))


def train_step(cell: nn.Cell, parameters: list[mindspore.Parameter]) -> nn.Cell:
    optimizer = nn.Momentum(parameters, 0.01, 0.9, weight_decay=4e-5)
    with_loss = nn.WithLossCell(cell, nn.CrossEntropyLoss())
    return nn.TrainOneStepCell(with_loss, optimizer).set_train()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *at_night("ghostnet_050", "ghostnet_nose", "ghostnet-600"),
    ],
)
def test_training_step_is_that_of_the_plain_network(name: str) -> None:
    after = {}
    for mode, training in ((mindspore.PYNATIVE_MODE, False), (mindspore.GRAPH_MODE, True)):
        mindspore.set_context(mode=mode)
        plain = network(name)
        cell = fuse(plain, training=True) if training else plain
        step = train_step(cell, plain.trainable_params())
        losses = [float(step(*batch()).asnumpy()) for _ in range(2)]
        after[training] = values(plain) | {"losses": np.array(losses)}
    assert after[True].keys() == after[False].keys()
    for key, expected in after[False].items():
        scale = max(np.abs(expected).max(), 1e-2)
        assert np.abs(after[True][key] - expected).max() <= 1e-3 * scale, key


# The gradients of all 52 norms of MobileNetV2-1x amplify rounding, in the plain network too.
@pytest.mark.parametrize("table", [TINY, *at_night(TINY_MOBILENET)], ids=lambda table: table.family)
def test_mindspores_model_trains_the_fused_cell_as_the_plain_network(table: Architecture) -> None:
    columns = [array.asnumpy() for array in batch(32, 8)]
    after = {}
    for training in (False, True):
        plain = tiny(table)
        cell = fuse(plain, training=True) if training else plain
        optimizer = nn.Momentum(plain.trainable_params(), 0.01, 0.9)
        rows = [tuple(map(np.array, row)) for row in zip(*columns, strict=True)]
        images = GeneratorDataset(rows, ["image", "label"], shuffle=False).batch(4)
        model = Model(cell, nn.CrossEntropyLoss(), optimizer)
        model.train(2, images, dataset_sink_mode=False)
        after[training] = values(plain)
    for name, expected in after[False].items():
        scale = max(np.abs(expected).max(), 1e-2)
        assert np.abs(after[True][name] - expected).max() <= 1e-3 * scale, name


@pytest.mark.parametrize("name", ["ghostnet_050", "mobilenet_v2_1x"])
def test_parameters_keep_names_order_and_identity(name: str) -> None:
    plain = network(name)
    names = [parameter.name for parameter in plain.get_parameters()]
    fused = fuse(plain, training=True)
    assert [parameter.name for parameter in fused.get_parameters()] == names
    for own, shared in zip(plain.get_parameters(), fused.get_parameters(), strict=True):
        assert own is shared


@pytest.mark.parametrize("table", [TINY, *at_night(TINY_MOBILENET)], ids=lambda table: table.family)
def test_evaluates_as_the_plain_network_with_moving_statistics(table: Architecture) -> None:
    plain = tiny(table)
    fused = fuse(plain, training=True)
    images, labels = batch(32, 4)
    train_step(fused, plain.trainable_params())(images, labels)
    fused.set_train(False)
    logits = fused(images).asnumpy()
    before = values(plain)
    np.testing.assert_allclose(logits, plain(images).asnumpy(), rtol=1e-5, atol=1e-6)
    inference = fuse(plain)(images).asnumpy()
    np.testing.assert_allclose(logits, inference, rtol=1e-3, atol=1e-4)
    for name, value in values(plain).items():
        np.testing.assert_array_equal(value, before[name])


MODES = {"graph": mindspore.GRAPH_MODE, "pynative": mindspore.PYNATIVE_MODE}


def test_strides_are_told_apart_outside_a_graph() -> None:
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    random = np.random.default_rng(2)
    x = Tensor(random.normal(size=(2, 6, 8, 8)).astype(np.float32))
    for stride in (1, 2, 1):
        plain = depthwise(6, 3, stride=stride).set_train()
        weights = Tensor(random.normal(size=plain(x).shape).astype(np.float32))
        expected = loss_and_gradients(plain, plain.trainable_params(), x, weights)
        cell = FusedDepthwise(plain).set_train()
        assert_close(loss_and_gradients(cell, plain.trainable_params(), x, weights), expected)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["pynative", pytest.param("graph", marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    "name",
    [
        "ghostnet",
        *at_night("mobilenet_v2_1x", "ghostnet_050", "ghostnet_nose", "ghostnet-600"),
    ],
)
def test_every_network_has_its_gradients_at_every_size(name: str, mode: str) -> None:
    loss = nn.CrossEntropyLoss()

    def gradients(cell: nn.Cell, size: int) -> np.ndarray:
        def forward(images: Tensor, labels: Tensor) -> Tensor:
            return loss(cell(images), labels)

        found = mindspore.value_and_grad(forward, None, plain.trainable_params())
        value, arrays = found(*batch(size, 4))
        return np.concatenate([array.asnumpy().ravel() for array in (value, *arrays)])

    for size in (64, 96):
        plain = network(name)
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
        expected = gradients(plain, size)
        mindspore.set_context(mode=MODES[mode])
        distance = np.linalg.norm(gradients(fuse(plain, training=True), size) - expected)
        # Norms of few pixels amplify rounding, in the plain network too.
        assert distance <= 0.05 * np.linalg.norm(expected), f"{size} pixels"


def freeze(network: nn.Cell, step: int) -> None:
    """Freeze every ``step``-th batch norm."""
    norms = [cell for _, cell in network.cells_and_names() if isinstance(cell, nn.BatchNorm2d)]
    for norm in norms[::step]:
        norm.set_train(False)
        norm.gamma.requires_grad = norm.beta.requires_grad = False


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("table", [TINY, TINY_MOBILENET], ids=lambda table: table.family)
@pytest.mark.parametrize("step", [1, 2])
def test_frozen_norms_stay_frozen(table: Architecture, step: int, mode: str) -> None:
    check_frozen_norms(table, step, mode, size=32)


@pytest.mark.parametrize("mode", ["pynative", pytest.param("graph", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("name", ["ghostnetv2_100", "repghostnet_050", *at_night("ghostnetv3_050")])
def test_frozen_norms_of_successors_stay_frozen(name: str, mode: str) -> None:
    check_frozen_norms(family.tiny(name), 2, mode, size=96)


def check_frozen_norms(table: Architecture, step: int, mode: str, size: int) -> None:
    """Compare a step of the fused network, with frozen norms, to one of the plain network."""
    mindspore.set_context(mode=MODES[mode])
    images, weights = batch(size, 4)[0], Tensor(np.arange(20, dtype=np.float32).reshape(4, 5))
    plain, other = tiny(table), tiny(table)
    for each in (plain, other):
        freeze(each, step)
    fused = fuse(other, training=True)
    expected = loss_and_gradients(plain, plain.trainable_params(), images, weights)
    found = loss_and_gradients(fused, other.trainable_params(), images, weights)
    assert_close(found | values(other), expected | values(plain))


def test_a_classifier_set_by_hand_is_trained() -> None:
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    images, weights = batch(32, 4)[0], Tensor(np.arange(12, dtype=np.float32).reshape(4, 3))
    plain, other = tiny(TINY), tiny(TINY)
    for each in (plain, other):
        mindspore.set_seed(4)
        wide = each.num_features
        each.classifier = nn.SequentialCell(
            nn.Dense(wide, 8), nn.ReLU(), nn.Dense(8, 3, has_bias=False)
        )
        each.set_train()
    fused = fuse(other, training=True)
    expected = loss_and_gradients(plain, plain.trainable_params(), images, weights)
    found = loss_and_gradients(fused, other.trainable_params(), images, weights)
    assert_close(found | values(other), expected | values(plain))


@pytest.mark.parametrize("name", CASES)
def test_answers_are_the_same_to_the_bit_for_any_number_of_threads(
    name: str, instruction_set: str, kernel_settings: None
) -> None:
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    make, fused, shape = CASES[name]
    plain = make().set_train()
    random = np.random.default_rng(5)
    randomise(plain, random)
    before = values(plain)
    cell = fused(plain).set_train()
    for height, width in (shape[2:], (1, 1), (5, 3), (19, 23)):
        x = Tensor(random.normal(0.5, 1, (*shape[:2], height, width)).astype(np.float32))
        weights = Tensor(random.normal(size=plain(x).shape).astype(np.float32))
        answers = []
        for threads in range(1, 6):
            kernels.set_threads(threads)
            mindspore.load_param_into_net(
                plain, {n: Parameter(v.copy()) for n, v in before.items()}
            )
            found = loss_and_gradients(cell, plain.trainable_params(), x, weights)
            answers.append(found | {f"after {n}": v for n, v in values(plain).items()})
        for answer in answers[1:]:
            for key, expected in answers[0].items():
                np.testing.assert_array_equal(answer[key], expected, key)


def test_wrong_images_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where MindSpore leaves its analysis of what failed
    fused = fuse(network("ghostnet_050"), training=True)
    with pytest.raises(KernelError, match="the images have the shape"):
        fused(Tensor(np.zeros((3, 32, 32), np.float32)))
    with pytest.raises(KernelError, match="float32"):
        fused(Tensor(np.zeros((1, 3, 32, 32), np.float16)))


def test_features_are_for_inference() -> None:
    with pytest.raises(ValueError, match="features"):
        fuse(network("ghostnet_050"), training=True, features=True)


def test_unknown_activation_is_refused() -> None:
    with pytest.raises(KernelError, match="the activation Tanh"):
        FusedNorm(nn.BatchNorm2d(4), nn.Tanh())
