"""The models of a server by name: opened, replaced and closed while it runs."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ghostnet.kernels.cpu.library import Dtype
from ghostnet.model import Model
from ghostnet.serving.refusal import Refusal
from ghostnet.serving.served_model import Observe, ServedModel
from ghostnet.system.memory import return_freed_memory

VERSION = "1"
"""The only version of each model."""

Opening = Callable[[], Model]


class Entry(NamedTuple):
    """What a repository says about a model.

    Attributes:
        name: Its name in addresses.
        is_loaded: Whether it takes images.
        reason: Why the last attempt to load it failed, or why it is not loaded.
    """

    name: str
    is_loaded: bool
    reason: str


class Repository:
    """The models of a server. The first of them answers requests that name none.

    A request keeps the model that it began with, and the memory of a model is free once no request
    has it any more. The methods are called on the thread of the event loop.

    Args:
        openings: How each model is opened, by its name in addresses.
        batch: Images of the largest batch.
        observe: Called with the images of each batch and the seconds of its forward pass.
        dtype: As of `ghostnet.kernels.Session`.

    Raises:
        GhostNetError: A model cannot be opened.
    """

    def __init__(
        self,
        openings: Mapping[str, Opening],
        batch: int,
        observe: Observe,
        dtype: Dtype = "float32",
    ) -> None:
        self._openings = openings
        self._batch = batch
        self._observe = observe
        self._dtype = dtype
        self._loaded = {name: self._open(name) for name in openings}
        self._reasons = dict.fromkeys(openings, "")
        self._changing = asyncio.Lock()

    @property
    def is_ready(self) -> bool:
        """Whether a model takes images."""
        return bool(self._loaded)

    @property
    def entries(self) -> list[Entry]:
        """All models, in their order."""
        return [Entry(name, name in self._loaded, self._reasons[name]) for name in self._openings]

    @property
    def loaded(self) -> list[ServedModel]:
        """The models that take images."""
        return list(self._loaded.values())

    def first(self) -> ServedModel:
        """Return the model of requests that name none.

        Raises:
            Refusal: It is not loaded.
        """
        return self.model(next(iter(self._openings)))

    def model(self, name: str, version: str = VERSION) -> ServedModel:
        """Return a loaded model.

        Raises:
            Refusal: There is none of this name and version, or it is not loaded.
        """
        self._check(name, version)
        if name not in self._loaded:
            raise Refusal(503, f"the model {name} is not loaded; load it, or choose another")
        return self._loaded[name]

    def has(self, name: str, version: str = VERSION) -> bool:
        """Return whether a model takes images.

        Raises:
            Refusal: There is none of this name and version.
        """
        self._check(name, version)
        return name in self._loaded

    async def load(self, name: str) -> None:
        """Open a model, again if it is loaded; requests under way finish on the old one.

        Raises:
            Refusal: There is none of this name, or it cannot be opened, which the log explains; if
                it was loaded, the old one goes on.
        """
        self._check(name)
        if not await self._replace(name):
            raise Refusal(500, f"the model {name} cannot be loaded; the server's log says why")

    async def unload(self, name: str) -> None:
        """Refuse requests for a model; those under way finish.

        Raises:
            Refusal: There is none of this name.
        """
        self._check(name)
        async with self._changing:
            self._loaded.pop(name, None)
            self._reasons[name] = "unloaded"
            return_freed_memory()

    def reload(self) -> None:
        """Begin to open all loaded models again; one that cannot be opened goes on as it is."""
        self._reloading = asyncio.ensure_future(self._replace_all())

    async def _replace_all(self) -> None:
        for name in list(self._loaded):
            await self._replace(name)

    async def _replace(self, name: str) -> bool:
        """Open a model in the background, and return whether that worked."""
        async with self._changing:
            try:
                self._loaded[name] = await asyncio.to_thread(self._open, name)
            except Exception as error:
                self._reasons[name] = "it could not be loaded; the server's log says why"
                rest = "the old one goes on" if name in self._loaded else "it stays unloaded"
                logging.getLogger(__name__).error("cannot load %s: %s; %s", name, error, rest)
                return False
            self._reasons[name] = ""
            return True

    def _open(self, name: str) -> ServedModel:
        opened = self._openings[name]()
        model = ServedModel(name, opened, self._batch, self._observe, self._dtype)
        return_freed_memory()  # opening a model frees twice its weights
        return model

    def _check(self, name: str, version: str = VERSION) -> None:
        if name not in self._openings or version != VERSION:
            raise Refusal(
                404,
                f"there is no model {name[:60]!r} of version {version[:20]!r}; choose from "
                f"{', '.join(self._openings)}, of version {VERSION}",
            )
