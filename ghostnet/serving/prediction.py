"""``POST /predict``: images to labels, as ``ghostnet predict --json`` prints them."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from ghostnet.errors import ImageError
from ghostnet.serving.engine import Engine
from ghostnet.serving.intake import Intake, read_images
from ghostnet.serving.refusal import Refusal

TOP_K = 3
"""Labels for an image, by default."""


class Prediction:
    """The endpoint.

    Args:
        engine: What labels the images.
        intake: What reads the bodies.
    """

    def __init__(self, engine: Engine, intake: Intake) -> None:
        self.engine = engine
        self.intake = intake

    async def predict(self, request: Request) -> JSONResponse:
        """Label the images of a request; the status is 422 if one of them is broken."""
        top_k = _top_k(request)
        async with self.intake.body(request) as body:
            images = await read_images(request, body, self.engine.limits)
            del body
            results = await self.engine.run(request, [image.content for image in images])
        classifier = self.engine.classifier
        answers = [
            classifier.describe(image.name, result, top_k)
            for image, result in zip(images, results, strict=True)
        ]
        is_broken = any(isinstance(result, ImageError) for result in results)
        return JSONResponse(answers, 422 if is_broken else 200)


def _top_k(request: Request) -> int:
    text = request.query_params.get("top_k", str(TOP_K))
    if not (text.isascii() and text.isdecimal() and int(text[:9]) > 0):
        raise Refusal(400, f"top_k: expected a number above 0, found {text[:20]!r}")
    return int(text[:9])
