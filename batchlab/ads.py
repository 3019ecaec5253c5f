"""Ad impressions made up by a seed, and the served network that says how likely a click is: ``ad_scoring``.

An impression is twelve categories (who sees what, where, when) and eight numbers. Clicks are drawn from a hidden rule:
users and ads have tastes and themes that attract each other, and position, device and weariness shift the rest. Because
the rule is known, so is the best that any model could reach. Nothing here describes real people.

The network is wide, so one impression costs thousands of times what a fraud check costs. It is trained once (`build`)
and written twice: in FP32 (``ad_scoring``) and in FP16 (``ad_scoring_fp16``), whose record tells what that changes.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlab import keepsake, ranking
from batchlab.configuration import DynamicBatching, InstanceGroup, ModelConfig, TensorSpec
from batchlab.workspace import repository_dir

if TYPE_CHECKING:
    from batchlab.inputs import Tensors

NAME, HALF_NAME = "ad_scoring", "ad_scoring_fp16"
# Categories of each field. A client may send any whole number: it is taken modulo the size.
FIELDS = {
    "user_segment": 40,
    "device": 6,
    "country": 30,
    "hour": 24,
    "site": 40,
    "placement": 12,
    "ad": 60,
    "campaign": 30,
    "advertiser": 20,
    "theme": 10,
    "format": 8,
    "language": 16,
}
NUMBERS = (
    "seen_today",
    "clicked_before",
    "minutes_in_session",
    "bid_eur",
    "scroll_depth",
    "ad_age_days",
    "words_on_page",
    "connection_mbps",
)
TRAINING, HELD_OUT = 30_000, 20_000
SEED = 80
TASTES = 4  # length of the hidden rule's vectors
VECTOR = 32
WIDTHS = (1536, 768)
PRECISION = 0.5
HALF_TOLERANCE = 0.01  # of a probability: FP16 against FP32
MAX_WAIT_US = 50_000
# Raise it when what is built must differ.
RECIPE = 1


@dataclass(frozen=True)
class Impressions:
    """Made-up impressions.

    Attributes:
        fields: int64, shape ``(n, 12)``, columns `FIELDS`.
        numbers: FP32, shape ``(n, 8)``, columns `NUMBERS`.
        click: 0 or 1, shape ``(n,)``.
        probability: of a click, as the hidden rule has it, shape ``(n,)``.
    """

    fields: np.ndarray
    numbers: np.ndarray
    click: np.ndarray
    probability: np.ndarray


def impressions(count: int, seed: int = SEED) -> Impressions:
    """Make impressions; about one in five is clicked.

    Raises:
        ValueError: a count below 1.
    """
    if count < 1:
        raise ValueError(f"Make at least one impression, not {count}.")
    world, random = np.random.default_rng(SEED), np.random.default_rng([seed, 1])
    # The world is the same whatever the seed: what each category likes, and how much it draws by itself.
    tastes = {name: world.normal(0, 0.8, (size, TASTES)) for name, size in FIELDS.items()}
    pull = {name: world.normal(0, 0.45, size) for name, size in FIELDS.items()}
    fields = {name: (size * random.beta(1.0, 1.6, count)).astype(np.int64) for name, size in FIELDS.items()}
    columns = {
        "seen_today": random.poisson(2.0, count),
        "clicked_before": random.poisson(0.4, count),
        "minutes_in_session": random.exponential(12.0, count),
        "bid_eur": random.lognormal(-0.5, 0.6, count),
        "scroll_depth": random.random(count),
        "ad_age_days": random.exponential(20.0, count),
        "words_on_page": random.lognormal(6.0, 0.7, count),
        "connection_mbps": random.lognormal(3.0, 0.9, count),
    }
    numbers = np.column_stack([columns[name] for name in NUMBERS]).astype(np.float32)

    def attraction(one: str, other: str) -> np.ndarray:
        return (tastes[one][fields[one]] * tastes[other][fields[other]]).sum(axis=1)

    score = (
        -2.3
        + sum(pull[name][fields[name]] for name in FIELDS)
        + 0.7 * attraction("user_segment", "theme")
        + 0.5 * attraction("site", "theme")
        + 0.4 * attraction("device", "format")
        - 0.45 * np.sqrt(columns["seen_today"])
        + 0.8 * np.minimum(columns["clicked_before"], 4)
        + 0.6 * (columns["scroll_depth"] - 0.5)
        - 0.01 * columns["ad_age_days"]
    )
    probability = 1 / (1 + np.exp(-score))
    click = (random.random(count) < probability).astype(np.int64)
    return Impressions(np.column_stack([fields[name] for name in FIELDS]), numbers, click, probability)


def request(batch_size: int = 1, seed: int = 0) -> "Tensors":
    """Return the inputs of one request: ``fields`` INT64 ``(n, 12)`` and ``numbers`` FP32 ``(n, 8)``."""
    made = impressions(batch_size, seed)
    return {"fields": made.fields, "numbers": made.numbers}


def requests(count: int, batch_size: int = 1, seed: int = 0) -> "list[Tensors]":
    """Return the inputs of `count` different requests, for `load.open_loop(inputs=...)`, which takes them in turn."""
    made = impressions(count * batch_size, seed)
    rows = zip(np.split(made.fields, count), np.split(made.numbers, count), strict=True)
    return [{"fields": fields, "numbers": numbers} for fields, numbers in rows]


def config(half: bool = False) -> ModelConfig:
    """The background model on the processor: a long wait for large batches, a pool and a thread of its own."""
    return ModelConfig(
        name=HALF_NAME if half else NAME,
        backend="onnxruntime",
        max_batch_size=64,
        inputs=(TensorSpec("fields", "INT64", (len(FIELDS),)), TensorSpec("numbers", "FP32", (len(NUMBERS),))),
        outputs=(TensorSpec("click", "FP32", (1,)),),
        dynamic_batching=DynamicBatching(max_queue_delay_microseconds=MAX_WAIT_US),
        instance_groups=(InstanceGroup(count=1, kind="KIND_CPU"),),
        parameters={"intra_op_thread_count": "1"},
    )


def gpu_config(half: bool = False) -> ModelConfig:
    """The same on a GPU: one copy, whose CUDA stream goes after those with a higher priority."""
    return config(half).replace(
        instance_groups=(InstanceGroup(count=1, kind="KIND_GPU", gpus=(0,)),),
        parameters={},
        extra="optimization { priority: PRIORITY_MIN }",
    )


def model_path(repository: Path | None = None, half: bool = False) -> Path:
    """Return where a built network lies."""
    return (repository or repository_dir()) / (HALF_NAME if half else NAME) / "1" / "model.onnx"


def build(repository: Path | None = None, *, force: bool = False) -> tuple[ranking.Score, ranking.Score]:
    """Train once and write both networks where they are not there whole; return how good FP32 and FP16 are.

    Raises:
        KeepsakeError: the disk, or a network that does not compute what it should.
    """
    whole, half = model_path(repository), model_path(repository, half=True)
    full = keepsake.keep(whole, RECIPE, _make, NAME, force=force)
    # The other is the same weights, read back from the file: an FP16 without its FP32 is made anew.
    earlier = keepsake.kept(half, RECIPE) or {}
    again = force or earlier.get("of") != keepsake.sha256(whole)
    short = keepsake.keep(half, RECIPE, lambda path: _make_half(whole, path), HALF_NAME, force=again)
    return _score(full), _score(short)


def built(repository: Path | None = None, half: bool = False) -> ranking.Score | None:
    """Return how good a built network is; None where it is missing, damaged or of an older recipe."""
    kept = keepsake.kept(model_path(repository, half), RECIPE)
    return None if kept is None else _score(kept)


def _score(said: dict[str, Any]) -> ranking.Score:
    return ranking.Score(**{name: value for name, value in said.items() if name != "of"})


def _make(path: Path) -> dict[str, Any]:
    from batchlab import perceptron  # torch takes seconds to import: only who builds shall wait for it

    learnt, exam = impressions(TRAINING), impressions(HELD_OUT, SEED + 1)
    made = perceptron.train(
        perceptron.Examples(learnt.numbers, learnt.click, learnt.fields),
        widths=WIDTHS,
        sizes=tuple(FIELDS.values()),
        vector=VECTOR,
        epochs=1,
        rate=2e-3,
        decay=0.05,
        seed=SEED,
    )
    perceptron.export(made, path, numbers="numbers", fields="fields", output="click")
    answers = ranking.answers(path, _inputs(exam))
    some = perceptron.Examples(exam.numbers[:2000], exam.click[:2000], exam.fields[:2000])
    ranking.agree(answers[:2000], perceptron.probabilities(made, some))
    found = ranking.score(exam.click, answers, exam.probability, PRECISION)
    print(f"{NAME}: {found}", flush=True)
    return found.to_dict()


def _make_half(whole: Path, path: Path) -> dict[str, Any]:
    from batchlab import perceptron

    exam = impressions(HELD_OUT, SEED + 1)
    perceptron.halve(whole, path)
    answers = ranking.answers(path, _inputs(exam))
    gap = ranking.agree(answers, ranking.answers(whole, _inputs(exam)), HALF_TOLERANCE)
    found = ranking.score(exam.click, answers, exam.probability, PRECISION)
    print(f"{HALF_NAME}: {found}; a probability differs from FP32 by at most {gap:.1g}", flush=True)
    return {**replace(found, max_abs_difference=gap).to_dict(), "of": keepsake.sha256(whole)}


def _inputs(made: Impressions) -> "Tensors":
    return {"fields": made.fields, "numbers": made.numbers}
