"""Archives as tests pack them."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

KINDS = ["tar", "tar.gz", "tgz", "zip"]


def pack(path: Path, members: Mapping[str, bytes]) -> Path:
    """Pack contents under their names, in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder by name, as `pack` takes them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
