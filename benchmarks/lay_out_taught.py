"""Lay out images as a folder of links for each class that the teacher of a run gives them.

``python benchmarks/lay_out_taught.py benchmarks/imagenet/sixth.yaml ../pictures/unseen FOLDER…``
makes the folder of held-out images of that run, which `ghostnet verify --data` takes for the
accuracy on its model's card.
"""

import argparse
from pathlib import Path

from links import lay_out

from ghostnet.data.image_folder import ImageFolder, find_images
from ghostnet.data.labels import read_labels
from ghostnet.training.config import read_config
from ghostnet.training.teacher import Teacher

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", nargs="+", type=Path)
    arguments = parser.parse_args()
    config = read_config(arguments.config, {})
    assert config.teacher
    assert config.teacher_labels
    teacher = Teacher(config.teacher, config)
    files = tuple((file, 0) for file in find_images(arguments.folders))
    classes = read_labels(config.teacher_labels, teacher.length)
    lay_out(teacher.label(ImageFolder(classes, files)), arguments.out)
