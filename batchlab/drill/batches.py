"""Numeric questions on batches, knobs, GPUs and shared devices; answers from profiles, formulas and the twin."""

# A question is prose: its lines are cut by meaning.
# ruff: noqa: E501

import numpy as np

from batchlab import arrivals, batch_service, profiles, queueing, simulate, twin
from batchlab.drill.question import Draw, Maker, between
from batchlab.profiles import Profile
from batchlab.service import ServiceTime

Rng = np.random.Generator


def _published(rng: Rng) -> tuple[Profile, int, str]:
    known = [one for _, one in sorted(profiles.load_profiles().items()) if one.max_batch >= 64]
    chosen = known[int(rng.integers(len(known)))]
    size = int(rng.choice([4, 8, 16, 32, 64]))
    what = f"{chosen.model} on a {chosen.gpu} ({chosen.precision})"
    return chosen, size, f"{what} takes {chosen.latency_ms(size):g} ms for a batch of {size}"


def _throughput(rng: Rng) -> Draw:
    profile, size, story = _published(rng)
    found = profile.throughput_ips(size)
    return Draw(f"{story}. Batch follows batch without a gap. How many inferences per second?", found, "1/s",
                1000 / profile.latency_ms(size), "that counts batches, not inferences",
                f"{size} / {profile.latency_ms(size):g} ms = {found:.3g}/s. Source: {profile.source}")  # fmt: skip


def _gain(rng: Rng) -> Draw:
    profile, size, story = _published(rng)
    found = profile.throughput_ips(size) / profile.throughput_ips(1)
    text = f"{story}, and {profile.latency_ms(1):g} ms for a single request. By which factor does the batch raise throughput?"
    wrong = size if abs(found / size - 1) > 0.05 else profile.latency_ms(size) / profile.latency_ms(1)
    return Draw(text, found, "", wrong, "throughput grows with the size over the growth of the time, not with the size",
                f"{size} x {profile.latency_ms(1):g} / {profile.latency_ms(size):g} = {found:.3g}. "
                f"Source: {profile.source}")  # fmt: skip


def _curve(rng: Rng) -> tuple[float, float, str]:
    fixed, item = between(rng, 4, 20), between(rng, 0.4, 2, 0.2)
    return fixed, item, f"A batch of b takes {fixed:g} + {item:g} b ms"


def _fixed_cost(rng: Rng) -> Draw:
    fixed, item, _ = _curve(rng)
    profile = profiles.synthetic_profile(fixed, item, 32)
    one, many = profile.latency_ms(1), profile.latency_ms(32)
    found = profile.affine_fit().overhead_ms
    text = (f"A batch of 1 takes {one:g} ms, a batch of 32 takes {many:g} ms, and the sizes between lie on a straight "
            "line. What does a batch cost before its first item?")  # fmt: skip
    return Draw(text, found, "ms", many - 31 * one if many > 31 * one else one - many / 32,
                "first find what each further item adds: (t(32) - t(1)) / 31",
                f"Each item adds {item:.3g} ms, so {one:g} - {item:.3g} = {found:.3g} ms are fixed.")  # fmt: skip


def _largest(rng: Rng) -> Draw:
    fixed, item, story = _curve(rng)
    limit = between(rng, 40, 90, 5)
    times = profiles.synthetic_profile(fixed, item, 512).latency_ms(np.arange(1, 513))
    found = int((times <= limit + 1e-9).sum())
    text = f"{story}. Compute alone may take {limit:g} ms. What is the largest batch?"
    return Draw(text, found, "items", int(limit / item), "the fixed cost is paid before the first item",
                f"({limit:g} - {fixed:g}) / {item:g}, rounded down: {found}.", whole=True)  # fmt: skip


def _capacity(rng: Rng) -> Draw:
    fixed, item, story = _curve(rng)
    size, pools = int(rng.choice([8, 16, 32])), int(rng.integers(2, 5))
    found = batch_service.batch_capacity_rps(lambda b: fixed + item * b, size, pools)
    text = (
        f"{story}; the largest batch is {size}. {pools} GPUs run one instance each. What rate can they carry at most?"
    )
    return Draw(text, found, "requests/s", found / pools, "that is one GPU",
                f"{pools} x {size} / {fixed + item * size:g} ms = {found:.4g}/s.")  # fmt: skip


def _same_gpu(rng: Rng) -> Draw:
    fixed, item, story = _curve(rng)
    size, copies = int(rng.choice([8, 16, 32])), int(rng.integers(2, 5))
    service = ServiceTime.from_function(lambda b: fixed + item * b, [1, size])
    found = twin.model(service, max_batch_size=size, instances=copies).capacity_rps()
    text = (f"{story} and fills the GPU; the largest batch is {size}. You set {copies} instances on that one GPU, which "
            "computes one batch at a time. What rate can it carry at most?")  # fmt: skip
    return Draw(text, found, "requests/s", copies * found, "instances on one full device share it; they do not multiply it",
                f"{size} / {fixed + item * size:g} ms = {found:.4g}/s, whatever the instances.")  # fmt: skip


def _own_batch(rng: Rng) -> Draw:
    fixed, item, story = _curve(rng)
    rate = round(between(rng, 0.4, 0.8, 0.05) * 1000 / item)
    found = rate / 1000 * fixed / (1 - rate / 1000 * item)
    text = (f"{story}; there is no limit on b and no wait. While one batch computes, the next gathers. {rate:g} requests/s "
            "arrive. At which size does the batch reproduce itself, b = rate x t(b)?")  # fmt: skip
    return Draw(text, found, "items", rate * (fixed + item) / 1000, "that is what arrives during a batch of one; go on",
                f"b = rate x fixed / (1 - rate x item) = {found:.3g}.")  # fmt: skip


def _busy(rng: Rng) -> Draw:
    fixed, item, story = _curve(rng)
    size = 32
    rate = round(between(rng, 0.5, 0.8, 0.1) * size * 1000 / (fixed + item * size))
    state = batch_service.greedy_batch(rate, lambda b: fixed + item * b, size)
    text = (f"{story}. At {rate:g} requests/s the mean batch is {state.mean_batch:.3g}. For which share of the time is the "
            "GPU busy, in percent?")  # fmt: skip
    found = 100 * state.utilisation
    return Draw(text, found, "%", 100 * rate * item / 1000, "each batch pays its fixed cost, too",
                f"{rate:g} / {state.mean_batch:.3g} batches/s, each {fixed + item * state.mean_batch:.3g} ms: "
                f"{found:.3g} %.", rel=0.03)  # fmt: skip


def _lone_request(rng: Rng) -> Draw:
    fixed, item, story = _curve(rng)
    delay = between(rng, 5, 40, 5)
    service = ServiceTime.from_function(lambda b: fixed + item * b, [1, 32])
    lone = twin.model(service, max_batch_size=32, max_delay_ms=delay)
    found = float(simulate.simulate(lone, arrivals.constant(2, 5)).mean_latency_ms)
    text = (f"{story}. Triton: `max_batch_size: 32`, `max_queue_delay_microseconds: {delay * 1000:.0f}`. At night two "
            "requests arrive each second, evenly. What is their latency, network left out?")  # fmt: skip
    return Draw(text, found, "ms", fixed + item, "a lone request waits out the whole delay for company that never comes",
                f"{delay:g} ms of waiting and {fixed + item:g} ms of compute: {found:.3g} ms, as the twin says.")  # fmt: skip


def _mean_batch(rng: Rng) -> Draw:
    executions, mean, before = between(rng, 200, 900, 10), between(rng, 2, 24, 0.5), between(rng, 1000, 9000, 500)
    done = executions * mean
    text = (f"Between two scrapes `nv_inference_count` rose from {before * 31:g} to {before * 31 + done:g} and "
            f"`nv_inference_exec_count` from {before:g} to {before + executions:g}. What was the mean batch?")  # fmt: skip
    return Draw(text, done / executions, "items", (before * 31 + done) / (before + executions),
                "counters are cumulative: take differences first", f"{done:g} / {executions:g} = {mean:.3g}.")  # fmt: skip


def _mean_queue(rng: Rng) -> Draw:
    requests, mean, batch = between(rng, 1000, 9000, 500), between(rng, 4, 60), between(rng, 2, 16)
    text = (f"In a minute `nv_inference_queue_duration_us` rose by {requests * mean * 1000:.0f}, "
            f"`nv_inference_request_success` by {requests:g}, `nv_inference_exec_count` by {requests / batch:.0f}. How long "
            "did a request wait in the queue on average?")  # fmt: skip
    return Draw(text, mean, "ms", mean * batch, "the counter adds up requests, not executions",
                f"{requests * mean * 1000:.0f} us / {requests:g} = {mean:.3g} ms.", rel=0.03)  # fmt: skip


def _queue_limit(rng: Rng) -> Draw:
    rate, wait = between(rng, 100, 900, 50), between(rng, 20, 200, 20)
    found = queueing.little_in_flight(rate, wait)
    text = (f"A server works off {rate:g} requests/s. Nobody should join a queue of more than {wait:g} ms. What "
            "`max_queue_size` says that?")  # fmt: skip
    return Draw(text, found, "requests", rate * wait, "the wait is in ms, the rate per second",
                f"{rate:g}/s x {wait / 1000:g} s = {found:.3g}.")  # fmt: skip


def _weights(rng: Rng) -> Draw:
    a, b, total = 1, int(rng.integers(2, 11)), int(between(rng, 100, 900, 100))
    found = total * b / (a + b)
    text = (f"Triton's rate limiter lets one of two models execute at a time: A has priority {a}, B has priority {b}, and "
            f"both always have work. Of {total} executions, how many are A's?")  # fmt: skip
    return Draw(text, found, "executions", total, "it is a weight, not a strict order: executions x priority, lowest first",
                f"{total} x {b} / {a + b} = {found:.4g}.")  # fmt: skip


def _blocking(rng: Rng) -> Draw:
    batch_ms, share = between(rng, 40, 200, 10), between(rng, 0.2, 0.8, 0.1)
    found = share * batch_ms / 2
    text = (f"A background model keeps a shared GPU busy for {100 * share:.0f} % of the time with batches of {batch_ms:g} "
            "ms each. A critical request arrives at a random moment and goes next. How long does it wait on average?")  # fmt: skip
    return Draw(text, found, "ms", share * batch_ms, "it meets a batch half done on average",
                f"{share:g} x {batch_ms:g} / 2 = {found:.3g} ms; at worst {batch_ms:g} ms.")  # fmt: skip


def _guest(rng: Rng) -> Draw:
    fixed, item, _ = _curve(rng)
    own, limit = between(rng, 3, 10), between(rng, 50, 100, 5)
    found = int((limit - own - fixed) / item + 1e-9)
    text = (f"A critical model computes {own:g} ms and must answer within {limit:g} ms. Its neighbour on the GPU takes "
            f"{fixed:g} + {item:g} b ms, and a running batch is never interrupted. What is the neighbour's largest batch, "
            "if one batch of it may stand in the way?")  # fmt: skip
    return Draw(text, found, "items", int((limit - fixed) / item + 1e-9), "the critical model must still compute afterwards",
                f"({limit:g} - {own:g} - {fixed:g}) / {item:g}, rounded down: {found}.", whole=True)  # fmt: skip


def _padding(rng: Rng) -> Draw:
    lengths = [*(int(between(rng, 8, 120, 4)) for _ in range(4)), int(between(rng, 160, 256, 16))]
    found = 100 * (1 - sum(lengths) / (len(lengths) * max(lengths)))
    text = (f"Texts of {', '.join(map(str, lengths))} tokens ride in one batch, padded to the longest. Which share of the "
            "computed tokens is padding, in percent?")  # fmt: skip
    if abs(found - 50) < 3:
        return Draw(text, found, "%", 100 * min(lengths) / max(lengths), "each text is padded to the longest, not the shortest",
                    f"1 - {sum(lengths)} / ({len(lengths)} x {max(lengths)}) = {found:.3g} %.")  # fmt: skip
    return Draw(text, found, "%", 100 - found, "that is the share of real tokens",
                f"1 - {sum(lengths)} / ({len(lengths)} x {max(lengths)}) = {found:.3g} %.")  # fmt: skip


def _ridge(rng: Rng) -> Draw:
    tflops, gbps = between(rng, 60, 320, 20), between(rng, 300, 2000, 100)
    found = tflops * 1000 / gbps
    text = (f"A GPU computes {tflops:g} TFLOP/s and reads {gbps:g} GB/s. How many operations must be done per byte read "
            "before arithmetic, not memory, is the limit?")  # fmt: skip
    return Draw(text, found, "operations/byte", 1 / found, "that is bytes per operation",
                f"{tflops:g}e12 / {gbps:g}e9 = {found:.3g}. Larger batches reuse each weight and move right.")  # fmt: skip


def _copy(rng: Rng) -> Draw:
    size, kib, gbps = int(rng.choice([16, 32, 64, 128])), 588, between(rng, 4, 24, 2)
    found = size * kib * 1024 / (gbps * 1e9) * 1000
    text = f"Each image is 588 KiB as FP32. A batch of {size} crosses a link of {gbps:g} GB/s. How long does the copy take?"
    return Draw(text, found, "ms", found / size, "that is one image of the batch",
                f"{size} x 588 x 1024 B / {gbps:g}e9 B/s = {found:.3g} ms. UINT8 would take a quarter.")  # fmt: skip


def _amdahl(rng: Rng) -> Draw:
    share, speed = between(rng, 0.4, 0.9, 0.05), between(rng, 2, 6)
    found = 1 / (1 - share + share / speed)
    text = (f"{100 * share:.0f} % of a request's time is model compute. A compiled model computes {speed:g} times as fast. "
            "By which factor does the request become faster?")  # fmt: skip
    return Draw(text, found, "", speed, "what is not compute stays as it was (Amdahl)",
                f"1 / ({1 - share:.2g} + {share:.2g} / {speed:g}) = {found:.3g}.")  # fmt: skip


BATCHES = (
    Maker("throughput_of_a_batch", "beginner", "batching", "01_sweep_static_batches", _throughput),
    Maker("gain_of_a_batch", "beginner", "batching", "01_sweep_static_batches", _gain),
    Maker("fixed_cost", "beginner", "batching", "01_sweep_static_batches", _fixed_cost),
    Maker("largest_batch", "beginner", "batching", "01_sweep_static_batches", _largest),
    Maker("capacity_of_pools", "intermediate", "scaling", "04_tune_dynamic_batching", _capacity),
    Maker("instances_on_one_gpu", "intermediate", "gpu", "04_tune_dynamic_batching", _same_gpu),
    Maker("batch_that_repeats", "intermediate", "batching", "03_predict_the_queue", _own_batch),
    Maker("busy_share", "advanced", "batching", "03_predict_the_queue", _busy),
    Maker("lone_request", "intermediate", "knobs", "04_tune_dynamic_batching", _lone_request),
    Maker("mean_batch_from_counters", "intermediate", "measuring", "04_tune_dynamic_batching", _mean_batch),
    Maker("queue_from_counters", "intermediate", "measuring", "04_tune_dynamic_batching", _mean_queue),
    Maker("queue_limit", "intermediate", "knobs", "08_protect_the_critical_model", _queue_limit),
    Maker("limiter_weights", "advanced", "priority", "08_protect_the_critical_model", _weights),
    Maker("wait_behind_a_batch", "advanced", "priority", "08_protect_the_critical_model", _blocking),
    Maker("neighbours_batch", "advanced", "priority", "08_protect_the_critical_model", _guest),
    Maker("padding_share", "intermediate", "batching", "05_shape_the_traffic", _padding),
    Maker("ridge_point", "advanced", "gpu", "S. Williams et al., Roofline, CACM 2009", _ridge),
    Maker("copy_to_the_gpu", "intermediate", "gpu", "07_find_the_bottleneck", _copy),
    Maker("compiled_model", "advanced", "gpu", "06_speed_up_the_model", _amdahl),
)
