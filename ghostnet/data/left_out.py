"""What a search leaves out: counts by reason, which take no more memory for more files."""

from collections import Counter
from dataclasses import dataclass, field
from os import PathLike, fspath


@dataclass
class LeftOut:
    """Paths that were left out, counted by reason.

    Attributes:
        is_partial: Whether something could not be read that may hold images.
    """

    is_partial: bool = False
    _counts: Counter[str] = field(default_factory=Counter)
    _examples: dict[str, str] = field(default_factory=dict)

    @classmethod
    def joined(cls, *parts: "LeftOut") -> "LeftOut":
        """Add up what several searches left out; two searches of one folder count once."""
        whole = cls()
        for number, part in enumerate(parts):
            if part not in parts[:number]:
                whole.is_partial |= part.is_partial
                whole._counts.update(part._counts)
                whole._examples = {**part._examples, **whole._examples}
        return whole

    def add(self, path: str | PathLike[str], reason: str) -> None:
        """Count a path."""
        self._counts[reason] += 1
        self._examples.setdefault(reason, fspath(path))

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of paths by reason, the commonest first."""
        return dict(self._counts.most_common())

    def __bool__(self) -> bool:
        return bool(self._counts)

    def __str__(self) -> str:
        """Describe in one line what was left out: for each reason a count and an example."""
        return "; ".join(
            f"{count:,} {reason}, such as {self._examples[reason]}"
            for reason, count in self.counts.items()
        )
