"""Measure what an installation takes on disk: for inference alone, and with MindSpore.

``python benchmarks/footprint.py`` installs this checkout into two new virtual environments, and
writes their sizes to ``footprint.json`` beside this file in ``results``.
"""

import json
import subprocess
import tempfile
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("results") / "footprint.json"

INSTALLATIONS = {
    "inference": (
        ("--requirement", REPOSITORY / "requirements/inference.txt"),
        ("--no-deps", REPOSITORY),
    ),
    "mindspore": ((REPOSITORY,),),
}
"""Arguments of each call of pip."""


def mebibytes(folder: Path) -> float:
    """Return the size of the files in a folder, in MiB."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir()) / 2**20


def main() -> None:
    """Install, measure and write."""
    sizes = {}
    for name, calls in INSTALLATIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            venv.create(folder, with_pip=True)
            for arguments in calls:
                pip = [Path(folder) / "bin/pip", "install", "--quiet", *arguments]
                subprocess.run(pip, check=True)
            sizes[f"{name}_mib"] = round(mebibytes(Path(folder)), 1)
    RESULTS.write_text(json.dumps(sizes, indent=1) + "\n")
    print(sizes)


if __name__ == "__main__":
    main()
