"""A network in the fused CPU kernels: arrays in, arrays out, without MindSpore."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.folding import Array
from ghostnet.checkpoints.parameters import count_classes
from ghostnet.errors import KernelError
from ghostnet.kernels.cpu import library
from ghostnet.kernels.cpu.library import Dtype
from ghostnet.kernels.cpu.packing import PackedNetwork, pack
from ghostnet.models import Architecture


class Session:
    """A network for inference on a CPU.

    A session maps (batch, 3, height, width) float32 images, normalized by `ghostnet.transforms`, to
    (batch, outputs) float32. Several threads may call it at once: one call has all the threads of
    `ghostnet.kernels.threads`, the others run on their caller's alone, and the answers are the same
    to the bit.

    Args:
        architecture: Table of the network.
        parameters: Arrays by released name.
        features: Return the features that the classifier reads, rather than the logits.
        pooled: Return the means of the last map, from which the head computes the features.
        dtype: ``bfloat16`` rounds the weights and the pixels of pointwise convolutions to 8
            significant bits, and the weights of dense layers, on a CPU with AVX512_BF16; ``int8``
            those of wide pointwise convolutions to 8 bits, with VNNI, or dotprod on ARM. Both are
            faster and less exact.
        sharing: A session of the same network, the logits of which come after what this one
            returns: both then have the same weights in memory.

    Attributes:
        outputs: Length of the logits, features or means.

    Raises:
        KernelError: The kernels are not available, or do not know a layer of the network, or the
            processor does not have the dtype.
        CheckpointError: Parameters of the network are missing or have other shapes.

    Examples:
        >>> model = ghostnet.hub.open_model("ghostnet/cpu/2.10/ghostnet_v1.0_pets")
        >>> session = Session(model.architecture, model.parameters)
        >>> session(np.zeros((1, 3, 224, 224), np.float32)).shape
        (1, 37)
    """

    def __init__(
        self,
        architecture: Architecture,
        parameters: Mapping[str, NDArray[Any]],
        *,
        features: bool = False,
        pooled: bool = False,
        dtype: Dtype = "float32",
        sharing: "Session | None" = None,
    ) -> None:
        library.load()
        classes = count_classes(parameters, architecture)
        self.architecture = architecture
        self.features = features
        self.pooled = pooled
        self.dtype: Dtype = dtype
        self.outputs = architecture.head_channels if features else classes
        if pooled:
            self.outputs = architecture.last_channels
        self.packed = self._pack(parameters)
        if sharing:
            self.packed = self.packed.within(sharing.packed)

    def __call__(self, images: Array) -> Array:
        """Run a batch.

        Raises:
            KernelError: The images have another type, dtype or shape.
            ModelError: They are too small for the network's attention.
            MemoryError: The call needs more memory than there is.
        """
        check_images(images)
        self.architecture.check_image(*images.shape[2:])
        return library.forward(library.aligned(images), *self.packed, self.outputs)

    def refresh(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        """Replace the weights by those of a network with the same layers, from the next call on.

        Raises:
            KernelError: The session has another number of classes; it is unchanged.
            CheckpointError: Parameters are missing or have other shapes; the session is unchanged.
        """
        packed = self._pack(parameters)
        if not np.array_equal(packed.plan, self.packed.plan):
            classes = count_classes(parameters, self.architecture)
            raise KernelError(
                f"the session has {self.outputs} classes and the parameters have {classes}; make "
                "another session for them"
            )
        self.packed = packed

    def _pack(self, parameters: Mapping[str, NDArray[Any]]) -> PackedNetwork:
        return pack(
            self.architecture,
            parameters,
            features=self.features,
            pooled=self.pooled,
            dtype=self.dtype,
        )


def check_images(images: Any) -> None:
    """Check that a batch is an array of float32 images.

    Raises:
        KernelError: It has another type, dtype or shape.
    """
    if not isinstance(images, np.ndarray):
        raise KernelError(f"the images are a {type(images).__name__}; pass a NumPy array")
    check_shape(images.shape)
    if images.dtype != np.float32:
        raise KernelError(
            f"the images have the dtype {images.dtype}; convert them to float32 (astype)"
        )


def check_shape(shape: Any) -> None:
    """Check that a shape is (batch, 3, height, width), none of them 0.

    Raises:
        KernelError: It is another.
    """
    if len(shape) != 4 or shape[1] != 3 or 0 in shape:
        raise KernelError(
            f"the images have the shape {tuple(shape)}; pass (batch, 3, height, width), none of "
            "them 0"
        )
