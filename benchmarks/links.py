"""Folders of links to images, one for each class."""

from pathlib import Path

from ghostnet.data.image_folder import ImageFolder


def lay_out(images: ImageFolder, out: Path) -> None:
    """Link each image into the folder of its class; a number precedes a name that is taken."""
    for number, (file, label) in enumerate(images.files):
        folder = out / images.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        taken = (folder / file.name).exists()
        (folder / (f"{number}_{file.name}" if taken else file.name)).symlink_to(file.resolve())
