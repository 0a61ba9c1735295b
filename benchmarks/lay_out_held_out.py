"""Lay out the held-out images of a training run as a folder of links for each class.

``python benchmarks/lay_out_held_out.py benchmarks/imagenet/second.yaml DIR`` makes the folder that
`ghostnet verify --data` takes for the accuracy on the card. Where a teacher names the classes, an
image lies in the folder of its teacher's answer. With more folders, their images take the place of
those that the run would hold out.
"""

import argparse
from pathlib import Path

from links import lay_out

from ghostnet.data.image_folder import ImageFolder, find_images
from ghostnet.training.config import read_config
from ghostnet.training.run.task import open_task
from ghostnet.training.teacher.network import Teacher

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", nargs="*", type=Path)
    arguments = parser.parse_args()
    config = read_config(arguments.config, {})
    teacher = Teacher(config.teacher.path, config.teacher) if config.teacher.path else None
    if teacher and teacher.classes and arguments.folders:
        files = tuple((file, 0) for file in find_images(arguments.folders))
        held_out = teacher.label(ImageFolder(teacher.classes, files))
    else:
        held_out = open_task(config.data, teacher).held_out
    lay_out(held_out, arguments.out)
