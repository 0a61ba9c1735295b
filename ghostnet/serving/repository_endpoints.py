"""The endpoints of the protocol's model repository, under ``/v2/repository``."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ghostnet.serving.description import repository_index
from ghostnet.serving.repository import Repository


class RepositoryEndpoints:
    """The endpoints, which are for clients with the token only.

    Args:
        repository: The models.
    """

    def __init__(self, repository: Repository) -> None:
        self.repository = repository

    async def show_index(self, request: Request) -> Response:
        """Answer ``POST /v2/repository/index``."""
        return JSONResponse(repository_index(self.repository))

    async def load(self, request: Request) -> Response:
        """Answer ``POST /v2/repository/models/NAME/load``."""
        await self.repository.load(request.path_params["name"])
        return Response()

    async def unload(self, request: Request) -> Response:
        """Answer ``POST /v2/repository/models/NAME/unload``."""
        await self.repository.unload(request.path_params["name"])
        return Response()
