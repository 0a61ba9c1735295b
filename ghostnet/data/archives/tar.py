"""Tar files, compressed or not."""

import errno
import tarfile
from collections.abc import Iterator

from ghostnet.data.archives.archive import ENDS_EARLY, Archive, Member, plain
from ghostnet.data.archives.content import Content, Cursor, Headers
from ghostnet.data.archives.places import Place

BUFFER = 4096
"""Bytes that are read for a header: also the last one of the member before."""

NOWHERE = Place(0, 0, 0)
"""Place of a member that cannot be read."""

ZEROS = bytes(tarfile.BLOCKSIZE)
"""The block with which an archive ends."""


class Tar(Archive):
    """A tar file, in any of its formats."""

    def scan(self) -> Iterator[Member]:
        """Yield the members in their order."""
        headers = Headers(Cursor(self.content), BUFFER)
        end = 0
        with tarfile.open(fileobj=headers, mode="r:") as tar:
            while entry := tar.next():
                tar.members.clear()  # type: ignore[attr-defined]  # they would take memory
                if entry.offset_data < end or entry.size < 0:
                    raise OSError(errno.EIO, "it is broken: a header states a wrong size")
                end = entry.offset_data
                if not entry.isdir():
                    yield self._member(entry)
                headers.begin()
            _check_end(self.content, tar.offset)

    def content_at(self, place: Place, length: int) -> bytes:
        """Read the first bytes of a member."""
        return self.content(place.offset, length)

    def _member(self, entry: tarfile.TarInfo) -> Member:
        place: Place | None = Place(entry.offset_data, entry.size, entry.size)
        if entry.islnk():  # to a member before it, which has the content
            place = self.known_place(plain(entry.linkname))
        elif not entry.isreg() or entry.issparse():
            place = None
        return Member(plain(entry.name), "" if place else "not a regular file", place or NOWHERE)


def _check_end(content: Content, offset: int) -> None:
    """Check that reading stopped at the mark of the end, not where the file is cut or broken.

    Raises:
        OSError: It did not.
    """
    mark = content(offset, len(ZEROS))
    if not mark:
        raise OSError(errno.EIO, ENDS_EARLY)
    if mark.strip(b"\0"):
        raise OSError(errno.EIO, f"it is broken: there is no header at byte {offset:,}")
