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


class Refusal(Exception):  # noqa: N818
    """A request that cannot be answered; its message goes to the sender."""


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
        # One bad request fails alone; a silent encoder fails all.
        batch = [self._attempt(self._texts, request) for request in requests]
        texts = [text for own, _ in batch if own for text in own]
        columns, failure = self._attempt(self._classify, texts) if texts else (None, None)
        responses, start = [], 0
        for own, error in batch:
            if own is None or failure:
                responses.append(pb_utils.InferenceResponse(error=pb_utils.TritonError(error or failure)))
                continue
            rows = slice(start, start + len(own))
            start += len(own)
            responses.append(
                pb_utils.InferenceResponse([pb_utils.Tensor(name, values[rows]) for name, values in columns])
            )
        return responses

    @staticmethod
    def _attempt(function, argument):
        try:
            return function(argument), None
        except Refusal as refusal:
            return None, str(refusal)

    @staticmethod
    def _texts(request):
        raw = pb_utils.get_input_tensor_by_name(request, "text").as_numpy().reshape(-1)
        try:
            texts = [item.decode("utf-8") for item in raw]
        except UnicodeDecodeError as error:
            raise Refusal(f"Input 'text' is not UTF-8: {error}. Encode the text before sending.") from None
        if not all(text.strip() for text in texts):
            raise Refusal("Input 'text' is blank: there is nothing to classify. Send at least one word.")
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
        answer = self._ask(ids, mask)
        if answer.has_error() and not pb_utils.is_model_ready(self._encoder):
            self._load_encoder()
            answer = self._ask(ids, mask)
        if answer.has_error():
            raise Refusal(f"{self._encoder} did not answer: {answer.error().message()}")
        return pb_utils.get_output_tensor_by_name(answer, "scores").as_numpy()

    def _ask(self, ids, mask):
        return pb_utils.InferenceRequest(
            model_name=self._encoder,
            requested_output_names=["scores"],
            inputs=[pb_utils.Tensor("input_ids", ids), pb_utils.Tensor("attention_mask", mask)],
            # Without this a GPU backend leaves its answer in GPU memory, where numpy cannot read it.
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
        ).exec()

    def _load_encoder(self):
        # Not in initialize: Triton forbids a model to load another while the server itself is starting.
        try:
            pb_utils.load_model(model_name=self._encoder)
        except Exception as error:
            raise Refusal(f"This model needs {self._encoder}, which is not loaded and cannot be: {error}") from error
