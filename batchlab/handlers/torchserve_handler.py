"""TorchServe's custom handler: each call is one batch that TorchServe formed. Its own archiver packs this file."""

from typing import Any

from batchlab.played_device import PlayedModel


class PlayedHandler:
    """What TorchServe's worker loads: `initialize` once, `handle` for each batch.

    Source of the two names: "Custom handlers with class level entry point" in TorchServe's documentation.
    """

    def __init__(self) -> None:
        self.model: PlayedModel | None = None

    def initialize(self, context: Any) -> None:
        """Open the device."""
        self.model = PlayedModel.from_environment()

    def handle(self, data: list[Any], context: Any) -> list[dict[str, Any]]:
        """Answer each request of the batch."""
        assert self.model is not None
        return [self.model.run(len(data))] * len(data)
