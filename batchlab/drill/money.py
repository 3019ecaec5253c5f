"""Numeric questions on cost and scaling; prices and throughput come from the shipped tables."""

# A question is prose: its lines are cut by meaning.
# ruff: noqa: E501

import math

import numpy as np

from batchlab import cost, profiles
from batchlab.cost import FleetCost, Price
from batchlab.drill.question import Draw, Maker, between

Rng = np.random.Generator


def _price(rng: Rng) -> Draw:
    usd, rps, share = between(rng, 0.5, 4, 0.1), between(rng, 100, 900, 50), between(rng, 0.3, 0.7, 0.1)
    bill = FleetCost(Price.own(usd), 1, rps * share * 86_400)
    text = (f"A GPU costs {usd:g} USD an hour and answers at most {rps:g} requests/s within the SLO. Over the day it is "
            f"used to {100 * share:.0f} %. What do 1000 answers cost?")  # fmt: skip
    return Draw(text, bill.usd_per_1000, "USD", bill.usd_per_1000 * share, "idle hours are paid for, too",
                f"{usd:g} / ({rps:g} x {share:g} x 3600) x 1000 = {bill.usd_per_1000:.3g} USD.")  # fmt: skip


def _real_price(rng: Rng) -> Draw:
    name = str(rng.choice(["rn50-fp16-t4-triton", "rn50-amp-v100-eager", "bertbase128-fp16-t4", "bertbase128-fp16-l4"]))
    profile, size = profiles.load_profiles()[name], int(rng.choice([8, 16, 32]))
    price = cost.cheapest(profile.gpu)
    ips = profile.throughput_ips(size)
    bill = FleetCost(price, 1, ips * 86_400)
    text = (f"A {price.gpu} costs {price.usd_per_hour:g} USD an hour ({price.provider}). {profile.model} takes "
            f"{profile.latency_ms(size):g} ms for a batch of {size}, back to back. What does a million inferences cost?")  # fmt: skip
    found = 1000 * bill.usd_per_1000
    return Draw(text, found, "USD", found * size, "that pays a whole batch for each inference",
                f"{ips:.4g}/s x 3600 s for {price.usd_per_hour:g} USD: {found:.3g} USD. {price.source}")  # fmt: skip


def _good(rng: Rng) -> Draw:
    usd, rps, late = between(rng, 1, 4, 0.5), between(rng, 200, 900, 50), between(rng, 10, 40, 5)
    bill = FleetCost(Price.own(usd), 1, rps * (1 - late / 100) * 86_400)
    text = (f"A GPU at {usd:g} USD an hour answers {rps:g} requests/s, {late:g} % of them too late for the SLO. What do "
            "1000 answers within the SLO cost?")  # fmt: skip
    return Draw(text, bill.usd_per_1000, "USD", bill.usd_per_1000 * (1 - late / 100), "a late answer costs as much and counts nothing",
                f"Goodput {rps * (1 - late / 100):g}/s: {bill.usd_per_1000:.3g} USD.")  # fmt: skip


def _saving(rng: Rng) -> Draw:
    factor = between(rng, 2.25, 5, 0.25)
    found = 100 * (1 - 1 / factor)
    text = f"Larger batches raise throughput per GPU {factor:g} times; the fleet shrinks to match. By how many percent does the bill fall?"
    return Draw(text, found, "%", 100 / factor, "that is what remains of the bill",
                f"1 - 1 / {factor:g} = {found:.3g} %; whole machines and headroom leave less of it.")  # fmt: skip


def _replicas(rng: Rng) -> Draw:
    peak, each, head = between(rng, 2000, 9000, 100), between(rng, 120, 400, 20), between(rng, 0.6, 0.8, 0.1)
    found = math.ceil(peak / (each * head) - 1e-9)
    wrong = math.ceil(peak / each)
    text = (f"The peak is {peak:g} requests/s; a replica keeps the SLO up to {each:g}/s and is planned at {100 * head:.0f} % "
            "of that. How many replicas?")  # fmt: skip
    return Draw(text, found, "replicas", wrong, "no headroom is left for bursts or a lost replica",
                f"{peak:g} / ({each:g} x {head:g}), rounded up: {found}.", whole=True)  # fmt: skip


def _lost(rng: Rng) -> Draw:
    n = int(rng.integers(3, 9))
    load = between(rng, 0.5, 0.65, 0.05)
    found = 100 * load * n / (n - 1)
    text = f"{n} replicas run at {100 * load:.0f} % load each. One dies. How loaded is each of the others, in percent?"
    return Draw(text, found, "%", 100 * load, "the dead one's share comes on top",
                f"{100 * load:.0f} x {n} / {n - 1} = {found:.3g} %.")  # fmt: skip


def _warm_up(rng: Rng) -> Draw:
    n, warm, cold = between(rng, 50, 400, 50), between(rng, 5, 20), between(rng, 1000, 4000, 500)
    found = (cold + (n - 1) * warm) / n
    text = (f"A test of {n:g} requests: the first loads kernels and takes {cold:g} ms, the others {warm:g} ms each. Which "
            "mean is reported when nobody leaves the warm-up out?")  # fmt: skip
    return Draw(text, found, "ms", warm, "that is the truth; the question is what the report says",
                f"({cold:g} + {n - 1:g} x {warm:g}) / {n:g} = {found:.3g} ms.")  # fmt: skip


MONEY = (
    Maker("price_of_1000", "advanced", "cost", "09_price_the_capacity", _price),
    Maker("price_by_the_tables", "advanced", "cost", "09_price_the_capacity", _real_price),
    Maker("price_of_goodput", "advanced", "cost", "09_price_the_capacity", _good),
    Maker("saving", "intermediate", "cost", "09_price_the_capacity", _saving),
    Maker("replicas_for_a_peak", "intermediate", "scaling", "09_price_the_capacity", _replicas),
    Maker("a_replica_dies", "intermediate", "scaling", "08_protect_the_critical_model", _lost),
    Maker("cold_start", "beginner", "measuring", "02_measure_the_tail", _warm_up),
)
