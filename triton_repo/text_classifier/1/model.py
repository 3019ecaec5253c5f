"""Text in, label and score out: tokenises a batch, pads it to its longest text, asks ``text_encoder`` once.

Runs in Triton's Python backend, here and in NVIDIA's images; needs numpy and ``tokenizers`` there, nothing of Batchlab.

Input ``text`` BYTES [1]. Outputs ``label`` BYTES [1]; ``score`` FP32 [1], the label's probability; ``tokens`` INT32
[1], the text's own length; ``padded_to`` INT32 [1], the length that its whole batch was computed at. The last two show
what padding wastes.

Parameters: ``encoder``, the model to ask (inputs ``input_ids`` and ``attention_mask``, output ``scores``); ``labels``,
comma-separated, in the order of the scores; ``max_tokens``, where texts are cut.
"""

import json
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from tokenizers import Tokenizer


class TritonPythonModel:
    """What Triton's Python backend calls."""

    def initialize(self, args):
        parameters = {k: v["string_value"] for k, v in json.loads(args["model_config"])["parameters"].items()}
        path = Path(args["model_repository"]) / args["model_version"] / "tokenizer.json"
        if not path.is_file():
            raise pb_utils.TritonModelException(
                f"{path} is missing: build the text classifier first (python -m batchlab.text_model)."
            )
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(int(parameters["max_tokens"]))
        self._labels = np.array([label.encode() for label in parameters["labels"].split(",")], dtype=np.object_)
        self._encoder = parameters["encoder"]

    def execute(self, requests):
        texts, counts, errors = [], [], []
        for request in requests:
            try:
                own = self._texts(request)
                errors.append(None)
            except ValueError as error:
                own = []
                errors.append(pb_utils.TritonError(str(error)))
            texts += own
            counts.append(len(own))
        columns = self._classify(texts) if texts else ()
        responses, start = [], 0
        for count, error in zip(counts, errors, strict=True):
            rows = slice(start, start + count)
            start += count
            outputs = [] if error else [pb_utils.Tensor(name, values[rows]) for name, values in columns]
            responses.append(pb_utils.InferenceResponse(output_tensors=outputs, error=error))
        return responses

    @staticmethod
    def _texts(request):
        raw = pb_utils.get_input_tensor_by_name(request, "text").as_numpy().reshape(-1)
        try:
            texts = [item.decode("utf-8") for item in raw]
        except UnicodeDecodeError as error:
            raise ValueError(f"Input 'text' is not UTF-8: {error}. Encode the text before sending.") from None
        if not all(text.strip() for text in texts):
            raise ValueError("Input 'text' is blank: there is nothing to classify. Send at least one word.")
        return texts

    def _classify(self, texts):
        """Return (output name, values [n, 1]) for each output."""
        encoded = self._tokenizer.encode_batch(texts)
        tokens = np.array([len(text.ids) for text in encoded], dtype=np.int32)
        longest = int(tokens.max())
        ids = np.zeros((len(texts), longest), dtype=np.int64)
        for row, text in zip(ids, encoded, strict=True):
            row[: len(text.ids)] = text.ids
        mask = (np.arange(longest) < tokens[:, None]).astype(np.int64)
        scores = self._scores(ids, mask)
        best = scores.argmax(axis=1)
        return (
            ("label", self._labels[best].reshape(-1, 1)),
            ("score", scores.max(axis=1, keepdims=True).astype(np.float32)),
            ("tokens", tokens.reshape(-1, 1)),
            ("padded_to", np.full((len(texts), 1), longest, dtype=np.int32)),
        )

    def _scores(self, ids, mask):
        answer = pb_utils.InferenceRequest(
            model_name=self._encoder,
            requested_output_names=["scores"],
            inputs=[pb_utils.Tensor("input_ids", ids), pb_utils.Tensor("attention_mask", mask)],
            # Without this a GPU backend leaves its answer in GPU memory, where numpy cannot read it.
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
        ).exec()
        if answer.has_error():
            raise pb_utils.TritonModelException(
                f"{self._encoder} did not answer: {answer.error().message()}. It must be loaded beside this model."
            )
        return pb_utils.get_output_tensor_by_name(answer, "scores").as_numpy()
