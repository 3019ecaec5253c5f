"""How well a model ranks: AUC, recall at a precision, and what the best possible model would reach."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from batchlab.keepsake import KeepsakeError

TOLERANCE = 1e-4  # of a probability: ONNX Runtime against torch, in FP32


@dataclass(frozen=True)
class Score:
    """How well held-out examples were ranked.

    Attributes:
        examples, positives: how many were judged, and how many of them are positive.
        auc: chance that a positive ranks above a negative.
        best_auc: the same of the true probabilities, from which the labels were drawn: no model does better.
        precision: share of alarms that are right, as asked for.
        recall: share of positives found with that precision or a better one; 0 where no threshold reaches it.
        max_abs_difference: largest difference of an answer from the FP32 network's; 0 for that itself.
    """

    examples: int
    positives: int
    auc: float
    best_auc: float
    precision: float
    recall: float
    max_abs_difference: float = 0.0

    def to_dict(self) -> dict[str, float]:
        """Return the fields by name, JSON-ready."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"AUC {self.auc:.4f} (best possible {self.best_auc:.4f}), recall {self.recall:.3f} at precision "
            f"{self.precision:g}, on {self.examples} held-out examples"
        )


def score(labels: np.ndarray, answers: np.ndarray, truth: np.ndarray, precision: float) -> Score:
    """Judge answers.

    Args:
        labels: 0 or 1, shape ``(n,)``.
        answers: higher for likelier positives, shape ``(n,)``.
        truth: the probabilities that the labels were drawn from, shape ``(n,)``.
        precision: at which recall is told.
    """
    from sklearn.metrics import precision_recall_curve, roc_auc_score

    precisions, recalls, _ = precision_recall_curve(labels, answers)
    # The last point of the curve is a convention, precision 1 at recall 0, and no threshold.
    reached = recalls[:-1][precisions[:-1] >= precision]
    return Score(
        examples=len(labels),
        positives=int(labels.sum()),
        auc=float(roc_auc_score(labels, answers)),
        best_auc=float(roc_auc_score(labels, truth)),
        precision=precision,
        recall=float(reached.max(initial=0.0)),
    )


def answers(path: Path, inputs: dict[str, np.ndarray], batch: int = 1024) -> np.ndarray:
    """Return what ONNX Runtime answers on one core with the network at `path`, FP32, shape ``(n,)``."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    count = len(next(iter(inputs.values())))
    parts = [
        session.run(None, {name: rows[start : start + batch] for name, rows in inputs.items()})[0]
        for start in range(0, count, batch)
    ]
    return np.concatenate(parts)[:, 0]


def agree(answers: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> float:
    """Return the largest difference between two lists of probabilities.

    Raises:
        KeepsakeError: it is above `tolerance`, or one is not a number.
    """
    gap = float(np.abs(answers - expected).max())
    if not gap <= tolerance:  # so that NaN fails too
        raise KeepsakeError(
            f"The written network and the trained one differ by {gap:.2g} in a probability; {tolerance:g} is allowed. "
            "Pin torch, onnx and onnxruntime as required."
        )
    return gap
