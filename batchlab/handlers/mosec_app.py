"""A mosec server with the played model: ``python -m batchlab.handlers.mosec_app`` and mosec's own options."""

from typing import Any

import mosec

from batchlab.played_device import PlayedModel, read_settings


class Played(mosec.Worker):
    """Mosec's view of the model: JSON in and out is its default."""

    def __init__(self) -> None:
        super().__init__()
        self.model = PlayedModel.from_environment()

    def forward(self, data: Any) -> Any:
        """Play one batch; without batching mosec hands over the bare request."""
        if isinstance(data, list):
            return [self.model.run(len(data))] * len(data)
        return self.model.run(1)


def main() -> None:
    """Serve until ended."""
    settings = read_settings()
    server = mosec.Server()
    server.append_worker(
        Played,
        num=settings["workers"],
        max_batch_size=settings["max_batch_size"],
        max_wait_time=round(settings["max_wait_ms"]),
    )
    server.run()


if __name__ == "__main__":
    main()
