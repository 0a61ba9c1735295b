"""Names of the classes of data sets, in the order in which networks are trained on them.

Each list is a file beside this one, with a name on each line.
"""

from collections.abc import Mapping
from pathlib import Path

from ghostnet.data import oxford_pets

IMAGENET = "ImageNet2012"

FILES: Mapping[str, str] = {
    IMAGENET: "imagenet2012.txt",
    oxford_pets.NAME: "oxford_iiit_pet.txt",
}
"""The file of each data set's list."""


def label_list(dataset: str) -> tuple[str, ...]:
    """Return the names of the classes of a data set.

    Args:
        dataset: Name of a data set, as cards spell it.

    Raises:
        ValueError: There is no list for it.
    """
    if dataset not in FILES:
        raise ValueError(
            f"there are no labels of {dataset!r}; give names, or one of {', '.join(FILES)}"
        )
    text = Path(__file__).with_name(FILES[dataset]).read_text(encoding="utf-8")
    return tuple(text.splitlines())
