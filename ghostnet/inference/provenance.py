"""What made the rows of a file: a model, its labels, and what it answers."""

import hashlib
import json
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass, replace
from typing import Any

from ghostnet.errors import ResultsError
from ghostnet.inference.vectors import Vectors
from ghostnet.model import Model


@dataclass(frozen=True)
class Provenance:
    """What the rows of a file depend on beside the images.

    Attributes:
        model: Name by which the model was opened.
        sha256: Hash of its network: architecture, weights, size of the input and thresholds.
        labels: Names of the classes.
        top_k: Predictions of an image.
        vectors: Its embedding, where the rows have one in place of predictions.
    """

    model: str
    sha256: str
    labels: tuple[str, ...]
    top_k: int
    vectors: Vectors | None = None

    @classmethod
    def of(cls, model: Model, top_k: int, vectors: Vectors | None = None) -> "Provenance":
        """Describe what a model answers."""
        answering = () if model.thresholds is None else (model.thresholds,)
        settings = _settings((model.architecture, model.preprocess, *answering))
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for name, values in model.parameters.items():
            digest.update(name.encode() + values.tobytes())
        return cls(model.name, digest.hexdigest(), model.labels, top_k, vectors)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Provenance":
        """Read what `to_json` wrote.

        Raises:
            ResultsError: The text is something else.
        """
        try:
            values = json.loads(text)
            known = cls(**{field.name: values[field.name] for field in fields(cls)})
            vectors = known.vectors and Vectors.read(values["vectors"])
        except (ValueError, KeyError, TypeError) as error:
            raise ResultsError(f"this is not what the command wrote ({error})") from error
        return replace(known, labels=tuple(known.labels), vectors=vectors)

    def to_json(self) -> str:
        """Return it as a JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    def difference(self, other: "Provenance") -> str | None:
        """Say in what the rows of another origin differ from these; None if they do not."""
        if other.vectors != self.vectors:
            here, there = (each or "predictions" for each in (self.vectors, other.vectors))
            return f"has {there}, and this run makes {here}"
        if other.top_k != self.top_k:
            return f"has {other.top_k} predictions an image, and this run makes {self.top_k}"
        if other.sha256 != self.sha256:
            return (
                f"was made by the model {other.model} (SHA-256 {other.sha256[:12]}…), and this run "
                f"uses {self.model} ({self.sha256[:12]}…)"
            )
        for index, (there, here) in enumerate(zip(other.labels, self.labels, strict=False)):
            if there != here:
                return f"calls class {index} {there!r}, and this run calls it {here!r}"
        return None


def _settings(value: Any) -> Any:
    """Return data as JSON types, without the fields that have their default values.

    A later release may have more of these; what it makes with them is the same.
    """
    if is_dataclass(value):
        defaults = {field.name: field.default for field in fields(value)}
    elif hasattr(value, "_field_defaults"):
        defaults = dict.fromkeys(value._fields, MISSING) | value._field_defaults
    elif isinstance(value, tuple):
        return [_settings(item) for item in value]
    else:
        return value
    values = {name: (getattr(value, name), default) for name, default in defaults.items()}
    return {name: _settings(now) for name, (now, default) in values.items() if now != default}
