"""``POST /predict``: images to labels, as ``ghostnet predict --json`` prints them."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from ghostnet.model import ImageSource, Result
from ghostnet.serving.batcher import Batcher
from ghostnet.serving.departure import unless_left
from ghostnet.serving.intake import Intake, read_images
from ghostnet.serving.refusal import Refusal
from ghostnet.serving.repository import Repository

TOP_K = 3
"""Labels per image, by default."""


class PredictEndpoint:
    """The endpoint, which the first model answers.

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
        """Label the images of a request; the status is 422 if an image is broken."""
        top_k = _top_k(request)
        model = self.repository.first()
        async with self.intake.body(request) as body:
            images = await read_images(request, body, self.batcher.limits)
            run = self.batcher.run(model, [image.content for image in images])
            outcomes = await unless_left(request, run)
        results = [
            Result(ImageSource(image.name, image.content), model.labels, outcome)
            for image, outcome in zip(images, outcomes, strict=True)
        ]
        is_broken = any(result.error for result in results)
        return JSONResponse(
            [result.to_dict(top_k) for result in results], 422 if is_broken else 200
        )


def _top_k(request: Request) -> int:
    text = request.query_params.get("top_k", str(TOP_K))
    if not (text.isascii() and text.isdecimal() and int(text[:9]) > 0):
        raise Refusal(400, f"top_k is {text[:20]!r}; it must be a number above 0")
    return int(text[:9])
