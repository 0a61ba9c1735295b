"""An archive: its members in their order, and each of them by name."""

import errno
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ghostnet.data.archives.content import Content
from ghostnet.data.archives.places import Place, Places

MAX_BYTES = 256 * 1024**2
"""Largest member that is read, in bytes."""

FREE_BYTES = 16 * 1024**2
"""Size from which a member may not be compressed more than `MAX_RATIO` allows."""

MAX_RATIO = 200
"""How many times as long as its stored bytes a large member may be: images hardly shrink."""

ENDS_EARLY = "it ends early"


@dataclass(frozen=True)
class Member:
    """What an archive lists.

    Attributes:
        name: Name, without an empty part or one that is a dot.
        problem: Why it is no file that can be read by its name; empty if it is one.
        place: Where its content is.
    """

    name: str
    problem: str
    place: Place


class Archive(ABC):
    """An archive that is read in place; several threads may use it.

    Args:
        content: Bytes of the archive.
        is_sequential: Whether reading them in another order than theirs is slow.
    """

    def __init__(self, content: Content, *, is_sequential: bool = False) -> None:
        self.content = content
        self.is_sequential = is_sequential
        self._places = Places()
        self._checking = threading.Lock()
        self._is_known = False
        self._error: OSError | None = None

    @abstractmethod
    def scan(self) -> Iterator[Member]:
        """Yield the members in their order.

        Raises:
            Exception: The archive is broken there.
        """

    @abstractmethod
    def content_at(self, place: Place, length: int) -> bytes:
        """Read the first bytes of a member.

        Raises:
            OSError: It cannot be read, or ends early.
        """

    def members(self, folder: str = "") -> Iterator[Member]:
        """Yield the members in their order, and remember their places.

        Only the first of several members with one name can be read.

        Args:
            folder: Folder whose members to yield; by default, all.

        Raises:
            OSError: The archive is broken there.
        """
        start = folder and folder + "/"
        try:
            for member in self.scan():
                is_twice = not member.problem and not self._is_new(member)
                if member.name.startswith(start):
                    yield replace(member, problem="named like another") if is_twice else member
        except Exception as error:  # readers of archives raise almost anything on broken bytes
            self._error = _broken(error)
            raise self._error from error
        finally:
            self._is_known = True
        self._places.compact()

    def check(self) -> None:
        """Look at all members once.

        Raises:
            OSError: The archive is broken.
        """
        with self._checking:
            if not self._is_known:
                for _ in self.members():
                    pass
        if self._error:
            raise self._error

    def place(self, name: str) -> Place:
        """Find a member.

        Raises:
            FileNotFoundError: There is none with this name.
            OSError: The archive is broken before it.
        """
        found = self._places.get(name)
        if found is None:
            self.check()
            found = self._places.get(name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "the archive has no such image")
        return found

    def known_place(self, name: str) -> Place | None:
        """Return the place of a member that was listed; None if there is none."""
        return self._places.get(name)

    def read(self, name: str) -> bytes:
        """Read a member.

        Raises:
            OSError: There is none with this name, it cannot be read, or it is too large.
        """
        place = self.place(name)
        if max(place.size, place.stored) > MAX_BYTES:
            raise OSError(
                errno.EFBIG, f"{place.size:,} bytes are more than the {MAX_BYTES:,} allowed"
            )
        if place.size > max(FREE_BYTES, MAX_RATIO * place.stored):
            raise OSError(errno.EFBIG, f"it is compressed more than {MAX_RATIO} times")
        content = self.content_at(place, place.size)
        if len(content) < place.size:
            raise OSError(errno.EIO, ENDS_EARLY)
        return content

    def _is_new(self, member: Member) -> bool:
        """Whether no other member has this name; notes the place if there is none."""
        known = self._places.get(member.name)
        if known is None:
            self._places.add(member.name, member.place)
        return known in (None, member.place)


def _broken(error: Exception) -> OSError:
    if isinstance(error, OSError) and error.strerror:
        return error
    return OSError(errno.EIO, f"it is broken: {error}")


def plain(name: str) -> str:
    """Return a member's name without parts that say nothing, as in ``./a//b``."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))
