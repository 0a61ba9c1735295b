"""Checkpoints in and out: MindSpore's files, conversion, and parameters of networks.

Parameters travel as a dict of NumPy arrays under the names of the released checkpoints. Only
`load_parameters` and `parameters_of`, which work on MindSpore cells, import MindSpore.
"""

from typing import TYPE_CHECKING

from ghostnet.checkpoints.conversion import Conversion, convert, is_foreign
from ghostnet.checkpoints.finder import Found, find_network
from ghostnet.checkpoints.formats import SUFFIXES, read_foreign
from ghostnet.checkpoints.merging import merged_parameters
from ghostnet.checkpoints.mindspore import parse_checkpoint, read_checkpoint, write_checkpoint
from ghostnet.checkpoints.parameters import (
    CLASSIFIER,
    Parameters,
    check_finite,
    check_parameters,
    classifier_names,
    count_classes,
    fit_parameters,
    form_of,
    identify,
)
from ghostnet.lazy import lazy_names

if TYPE_CHECKING:
    from ghostnet.checkpoints.cells import load_parameters, merge_branches, parameters_of

__all__ = [
    "CLASSIFIER",
    "SUFFIXES",
    "Conversion",
    "Found",
    "Parameters",
    "check_finite",
    "check_parameters",
    "classifier_names",
    "convert",
    "count_classes",
    "find_network",
    "fit_parameters",
    "form_of",
    "identify",
    "is_foreign",
    "load_parameters",
    "merge_branches",
    "merged_parameters",
    "parameters_of",
    "parse_checkpoint",
    "read_checkpoint",
    "read_foreign",
    "write_checkpoint",
]

__getattr__, __dir__ = lazy_names(
    __name__, {"ghostnet.checkpoints.cells": ("load_parameters", "merge_branches", "parameters_of")}
)
