"""Zip files."""

import errno
import struct
import zipfile
import zlib
from collections.abc import Iterator

from ghostnet.data.archives.archive import Archive, Member, plain
from ghostnet.data.archives.content import Content, Cursor
from ghostnet.data.archives.places import Place

HEADER = struct.Struct("<4s2xHH16xHH")
"""Header before a member: signature, flags, method, lengths of its name and of what follows it."""

SIGNATURE = b"PK\3\4"

ENCRYPTED = 1
"""Flag of a member whose content is encrypted."""

WINDOWS = 0
"""System whose programs may separate the parts of a name by a backslash."""


class Zip(Archive):
    """A zip file, whose directory is at its end.

    Args:
        content: Bytes of the archive.
        length: Their number.
    """

    def __init__(self, content: Content, length: int) -> None:
        super().__init__(content)
        self.length = length

    def scan(self) -> Iterator[Member]:
        """Yield the members in the order of the directory."""
        with zipfile.ZipFile(Cursor(self.content, self.length)) as file:
            entries = file.filelist
        for entry in entries:
            if not entry.is_dir():
                name = entry.filename
                if entry.create_system == WINDOWS:
                    name = name.replace("\\", "/")
                place = Place(entry.header_offset, entry.compress_size, entry.file_size)
                yield Member(plain(name), "", place)

    def content_at(self, place: Place, length: int) -> bytes:
        """Read the first bytes of a member."""
        header = self.content(place.offset, HEADER.size)
        if len(header) < HEADER.size or not header.startswith(SIGNATURE):
            raise OSError(errno.EIO, "its header is broken")
        _, flags, method, name, extra = HEADER.unpack(header)
        if flags & ENCRYPTED:
            raise OSError(errno.EACCES, "it is encrypted; pack it again without a password")
        start = place.offset + HEADER.size + name + extra
        if method == zipfile.ZIP_STORED:
            return self.content(start, length)
        if method != zipfile.ZIP_DEFLATED:
            raise OSError(
                errno.ENOTSUP, f"its method of compression ({method}) is not read; use Deflate"
            )
        return _inflated(self.content(start, place.stored), length)


def _inflated(content: bytes, length: int) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, length)
    except zlib.error as error:
        raise OSError(errno.EIO, f"it is broken: {error}") from error
