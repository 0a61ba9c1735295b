"""``POST /predict`` and ``POST /embed``: images to labels or embeddings, in simple JSON."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from ghostnet.embeddings.search import directions
from ghostnet.errors import ImageError
from ghostnet.inference.vectors import Layer
from ghostnet.model import ImageSource, Result
from ghostnet.model.pipeline import Logits
from ghostnet.model.result import shown_count
from ghostnet.serving.batcher import Batcher, Network
from ghostnet.serving.departure import unless_left
from ghostnet.serving.intake import EncodedImage, Intake, read_images
from ghostnet.serving.refusal import Refusal
from ghostnet.serving.repository import Repository


class ImageEndpoints:
    """The endpoints, which the first model answers; the status is 422 if an image is broken.

    Args:
        repository: The models.
        batcher: What runs the images.
        intake: What reads the bodies.
    """

    def __init__(self, repository: Repository, batcher: Batcher, intake: Intake) -> None:
        self.repository = repository
        self.batcher = batcher
        self.intake = intake

    async def predict(self, request: Request) -> JSONResponse:
        """Answer as ``ghostnet predict --json``."""
        model = self.repository.first()
        top_k = _top_k(request, shown_count(model.labels, model.thresholds))
        results = [
            Result(ImageSource(image.name, image.content), model.labels, outcome, model.thresholds)
            for image, outcome in await self._outcomes(request, model)
        ]
        is_broken = any(result.error for result in results)
        return JSONResponse(
            [result.to_dict(top_k) for result in results], 422 if is_broken else 200
        )

    async def embed(self, request: Request) -> JSONResponse:
        """Answer with the rows that ``ghostnet embed`` writes."""
        layer = Layer(_choice(request, "layer", [layer.value for layer in Layer]))
        is_normalized = _choice(request, "normalize", ["false", "true"]) == "true"
        answers = []
        is_broken = False
        embedder = self.repository.first().embedders[layer]
        for image, outcome in await self._outcomes(request, embedder):
            if isinstance(outcome, ImageError):
                is_broken = True
                answers.append({"file": image.name, "error": str(outcome)})
            else:
                vector = directions(outcome.values[None])[0] if is_normalized else outcome.values
                answers.append({"file": image.name, "embedding": vector.tolist()})
        return JSONResponse(answers, 422 if is_broken else 200)

    async def _outcomes(
        self, request: Request, network: Network
    ) -> list[tuple[EncodedImage, Logits | ImageError]]:
        """Run the images of a request."""
        async with self.intake.body(request) as body:
            images = await read_images(request, body, self.batcher.limits)
            run = self.batcher.run(network, [image.content for image in images])
            outcomes = await unless_left(request, run)
        return [*zip(images, outcomes, strict=True)]


def _top_k(request: Request, default: int) -> int:
    text = request.query_params.get("top_k", str(default))
    if not (text.isascii() and text.isdecimal() and int(text[:9]) > 0):
        raise Refusal(400, f"top_k is {text[:20]!r}; it must be a number above 0")
    return int(text[:9])


def _choice(request: Request, name: str, values: list[str]) -> str:
    """Return a parameter, by default the first of its values."""
    text = request.query_params.get(name, values[0])
    if text not in values:
        raise Refusal(400, f"{name} is {text[:20]!r}; it must be {' or '.join(values)}")
    return text
