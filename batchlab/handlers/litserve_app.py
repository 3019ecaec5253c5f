"""A LitServe server with the played model. Started as ``python -m batchlab.handlers.litserve_app``."""

from typing import Any

import litserve

from batchlab.played_device import PlayedModel, read_settings


class PlayedApi(litserve.LitAPI):
    """LitServe's view of the model: decode, batch, predict, take apart, encode."""

    def setup(self, device: str) -> None:
        """Open the device, once in each worker."""
        self.model = PlayedModel.from_environment()

    def decode_request(self, request: dict[str, Any]) -> Any:
        """Take the item out of a request."""
        return request["item"]

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Keep a batch as it is: the played model only counts it."""
        return inputs

    def predict(self, x: list[Any]) -> list[dict[str, Any]]:
        """Play one batch."""
        # Without batching LitServe hands over the bare item.
        items = len(x) if isinstance(x, list) else 1
        answers = [self.model.run(items)] * items
        return answers if isinstance(x, list) else answers[0]

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Give each request its own answer."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Answer in JSON, which a dictionary becomes by itself."""
        return output


def main() -> None:
    """Serve until ended."""
    settings = read_settings()
    api = PlayedApi(max_batch_size=settings["max_batch_size"], batch_timeout=settings["max_wait_ms"] / 1000)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=settings["workers"])
    server.run(
        host="127.0.0.1",
        port=settings["ports"][0],
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )


if __name__ == "__main__":
    main()
