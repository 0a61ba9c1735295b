"""The fused network where the machine allows, the plain one where it does not."""

import warnings

from mindspore import nn

from ghostnet.kernels.devices import unavailable_reason
from ghostnet.kernels.fuse import fuse
from ghostnet.network import GhostNet


def fuse_if_possible(network: GhostNet) -> nn.Cell:
    """`fuse` of the network, or the network itself after a warning that says why.

    Args:
        network: in inference state.
    """
    reason = unavailable_reason()
    if reason is None:
        return fuse(network)
    warnings.warn(f"the plain graph runs, many times slower: {reason}", stacklevel=2)
    return network
