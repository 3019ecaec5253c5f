"""Card payments made up by a seed, and the served network that says which of them are fraud: ``fraud_check``.

A payment is sixteen numbers. Whether it is fraud is drawn from a probability that a hidden rule gives: stolen cards are
tried in quick succession, from new devices far from home, at odd hours, for amounts unlike the owner's. Because the
rule is known, so is the best that any model could reach (`Payments.probability`). Nothing here describes real people.

The network is trained on first use (`build`) and judged on payments that it never saw; its record lies beside it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from batchlab import keepsake, ranking
from batchlab.configuration import DynamicBatching, InstanceGroup, ModelConfig, TensorSpec
from batchlab.workspace import repository_dir

if TYPE_CHECKING:
    from batchlab.inputs import Tensors
    from batchlab.perceptron import Examples

NAME = "fraud_check"
FEATURES = (
    "amount_eur",
    "amount_over_usual",
    "hour",
    "weekend",
    "minutes_since_last",
    "payments_last_hour",
    "declined_last_day",
    "km_from_home",
    "km_per_hour_since_last",
    "card_age_days",
    "device_age_days",
    "merchant_risk",
    "country_risk",
    "is_online",
    "address_matches",
    "attempts_at_code",
)
TRAINING, HELD_OUT = 60_000, 40_000
SEED = 8
PRECISION = 0.8  # at which recall is told: four alarms of five are right
MAX_WAIT_US = 2000
# Raise it when what is built must differ.
RECIPE = 1


@dataclass(frozen=True)
class Payments:
    """Made-up payments.

    Attributes:
        numbers: FP32, shape ``(n, 16)``, columns `FEATURES`.
        fraud: 0 or 1, shape ``(n,)``.
        probability: of fraud, as the hidden rule has it, shape ``(n,)``.
    """

    numbers: np.ndarray
    fraud: np.ndarray
    probability: np.ndarray


def payments(count: int, seed: int = SEED) -> Payments:
    """Make payments; some 4 in 100 are fraud.

    Raises:
        ValueError: a count below 1.
    """
    if count < 1:
        raise ValueError(f"Make at least one payment, not {count}.")
    random = np.random.default_rng(seed)
    # What the network does not see: whether a thief holds the card; he shows only in what he does.
    thief = random.random(count) < 0.06
    usual = random.lognormal(3.2, 0.6, count)
    over = random.lognormal(0.0, 0.5, count) * np.where(thief, random.lognormal(0.9, 0.6, count), 1)
    at_night = thief & (random.random(count) < 0.5)
    hour = np.where(at_night, random.uniform(0, 6, count), random.normal(14, 4.5, count) % 24)
    since = random.exponential(np.where(thief, 40, 900), count)
    last_hour = random.poisson(np.where(thief, 2.0, 0.15), count)
    declined = random.poisson(np.where(thief, 0.9, 0.05), count)
    home = random.lognormal(np.where(thief, 5.0, 1.8), 1.3, count)
    online = random.random(count) < np.where(thief, 0.7, 0.4)
    device = random.exponential(np.where(thief, 60, 500), count)
    columns = {
        "amount_eur": usual * over,
        "amount_over_usual": over,
        "hour": hour,
        "weekend": random.random(count) < 2 / 7,
        "minutes_since_last": since,
        "payments_last_hour": last_hour,
        "declined_last_day": declined,
        "km_from_home": home,
        "km_per_hour_since_last": np.minimum(home / (since / 60 + 0.1), 5000),
        "card_age_days": random.uniform(1, 1500, count),
        "device_age_days": device,
        "merchant_risk": random.beta(np.where(thief, 3, 1.5), 5, count),
        "country_risk": random.beta(np.where(thief, 2.5, 1.2), 8, count),
        "is_online": online,
        "address_matches": random.random(count) < np.where(thief, 0.35, 0.93),
        "attempts_at_code": 1 + random.poisson(np.where(thief, 0.6, 0.04), count),
    }
    numbers = np.column_stack([columns[name] for name in FEATURES]).astype(np.float32)
    rush = np.minimum(last_hour, 6) * (device < 30)
    score = (
        -8.0
        + 1.1 * np.log(over + 0.1)
        + 0.9 * np.minimum(declined, 5)
        + 0.8 * rush
        + 0.7 * np.log1p(home) * (1 + 0.5 * online)
        + 1.8 * (hour < 6)
        + 3.0 * columns["merchant_risk"]
        + 3.0 * columns["country_risk"] * online
        - 2.2 * columns["address_matches"]
        + 1.2 * (columns["attempts_at_code"] - 1)
    )
    probability = 1 / (1 + np.exp(-score))
    return Payments(numbers, (random.random(count) < probability).astype(np.int64), probability)


def request(batch_size: int = 1, seed: int = 0) -> "Tensors":
    """Return the inputs of one request, ``payment`` FP32 ``(batch_size, 16)``; fits `load.open_loop(inputs=...)`."""
    return {"payment": payments(batch_size, seed).numbers}


def requests(count: int, batch_size: int = 1, seed: int = 0) -> "list[Tensors]":
    """Return the inputs of `count` different requests, for `load.open_loop(inputs=...)`, which takes them in turn."""
    numbers = payments(count * batch_size, seed).numbers
    return [{"payment": rows} for rows in numbers.reshape(count, batch_size, -1)]


def config() -> ModelConfig:
    """The critical model on the processor: a short wait, a pool and a thread of its own."""
    return ModelConfig(
        name=NAME,
        backend="onnxruntime",
        max_batch_size=32,
        inputs=(TensorSpec("payment", "FP32", (len(FEATURES),)),),
        outputs=(TensorSpec("fraud", "FP32", (1,)),),
        dynamic_batching=DynamicBatching(max_queue_delay_microseconds=MAX_WAIT_US),
        instance_groups=(InstanceGroup(count=1, kind="KIND_CPU"),),
        parameters={"intra_op_thread_count": "1"},
    )


def gpu_config() -> ModelConfig:
    """The same on a GPU: two copies, whose CUDA streams go before those of models without that priority."""
    return config().replace(
        instance_groups=(InstanceGroup(count=2, kind="KIND_GPU", gpus=(0,)),),
        parameters={},
        extra="optimization { priority: PRIORITY_MAX }",
    )


def model_path(repository: Path | None = None) -> Path:
    """Return where the built network lies."""
    return (repository or repository_dir()) / NAME / "1" / "model.onnx"


def build(repository: Path | None = None, *, force: bool = False) -> ranking.Score:
    """Train and write the network if it is not there whole; return how good it is.

    Raises:
        KeepsakeError: the disk, or a network that does not compute what torch does.
    """
    return ranking.Score(**keepsake.keep(model_path(repository), RECIPE, _make, NAME, force=force))


def built(repository: Path | None = None) -> ranking.Score | None:
    """Return how good the built network is; None where it is missing, damaged or of an older recipe."""
    kept = keepsake.kept(model_path(repository), RECIPE)
    return None if kept is None else ranking.Score(**kept)


def _make(path: Path) -> dict[str, float]:
    from batchlab import perceptron  # torch takes seconds to import: only who builds shall wait for it

    made = perceptron.train(_examples(payments(TRAINING)), widths=(64, 32), epochs=4, rate=3e-3, seed=SEED)
    perceptron.export(made, path, numbers="payment", output="fraud")
    exam = payments(HELD_OUT, SEED + 1)
    answers = ranking.answers(path, {"payment": exam.numbers})
    ranking.agree(answers, perceptron.probabilities(made, _examples(exam)))
    found = ranking.score(exam.fraud, answers, exam.probability, PRECISION)
    print(f"{NAME}: {found}", flush=True)
    return found.to_dict()


def _examples(made: Payments) -> "Examples":
    from batchlab.perceptron import Examples

    return Examples(made.numbers, made.fraud, np.empty((len(made.fraud), 0), dtype=np.int64))
