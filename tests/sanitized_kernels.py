"""A plugin of pytest: the kernels are those of a library that was compiled with sanitizers."""

import os
from pathlib import Path

from ghostnet.kernels.cpu import library

library.PATH = Path(os.environ["SANITIZED_KERNELS"])
