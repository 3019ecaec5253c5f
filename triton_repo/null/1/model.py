"""The null model: gives its input back. What is left to measure is the harness itself."""

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Answers each request with its own item."""

    def execute(self, requests):
        """Return one response per request, shape ``(batch, 1)``."""
        items = [pb_utils.get_input_tensor_by_name(request, "item").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("item", item)]) for item in items]
