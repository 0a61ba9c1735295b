"""``POST /predict``: images to labels, as ``ghostnet predict --json`` prints them."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from ghostnet.model import ImageSource, Result
from ghostnet.serving.intake import Intake, read_images
from ghostnet.serving.refusal import Refusal
from ghostnet.serving.served_model import ServedModel

TOP_K = 3
"""Labels per image, by default."""


class PredictEndpoint:
    """The endpoint.

    Args:
        served: What labels the images.
        intake: What reads the bodies.
    """

    def __init__(self, served: ServedModel, intake: Intake) -> None:
        self.served = served
        self.intake = intake

    async def predict(self, request: Request) -> JSONResponse:
        """Label the images of a request; the status is 422 if an image is broken."""
        top_k = _top_k(request)
        async with self.intake.body(request) as body:
            images = await read_images(request, body, self.served.limits)
            del body
            outcomes = await self.served.run(request, [image.content for image in images])
        labels = self.served.model.labels
        results = [
            Result(ImageSource(image.name, image.content), labels, outcome)
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
