"""Cases: a name decides who they are, and the split of a request tells the illnesses apart."""

import numpy as np
import pytest

from batchlab import cases, server

NAMES = ["Ada", "Grace", "Edsger", "Barbara", "Donald"]


def test_a_learner_meets_the_same_cases_again() -> None:
    assert cases.ward("Ada") == cases.ward(" ada")


def test_learners_get_different_numbers_and_orders() -> None:
    wards = [cases.ward(name) for name in NAMES]
    assert len({tuple((case.rate_rps, case.seed) for case in ward) for ward in wards}) == len(NAMES)
    assert len({tuple(case.illness for case in ward) for ward in wards}) > 3


def test_every_illness_comes_once_and_has_its_symptom() -> None:
    for name in NAMES:
        assert {case.illness for case in cases.ward(name)} == set(cases.ILLNESSES) == set(cases.SYMPTOMS)
        assert [case.number for case in cases.ward(name)] == [1, 2, 3, 4, 5]


def test_a_case_does_not_show_what_it_suffers_from() -> None:
    for case in cases.ward("Ada"):
        assert case.illness not in repr(case)
        assert case.model not in repr(case)


@pytest.fixture(scope="module")
def triton():
    with server.start(reuse=False) as started:
        yield started


@pytest.mark.alone
@pytest.mark.parametrize("illness", cases.ILLNESSES)
def test_the_split_shows_the_symptom(triton, illness: str) -> None:
    (case,) = [case for case in cases.ward("Ada") if case.illness == illness]
    triton.load_missing([case.model])
    before = triton.config(case.model)
    chart = case.examine(triton, seconds=1.5)
    server_ms = chart["queue ms"] + chart["input ms"] + chart["compute ms"] + chart["output ms"]
    own_ms = chart["compute ms"] - chart["of compute: called model ms"]
    client_ms = chart["client wait ms"] + chart["client work ms"]
    if illness == "input copy":
        assert chart["network and HTTP ms"] > 2 * (server_ms + client_ms)
    elif illness == "threads":
        assert chart["of compute: called model ms"] > 2 * own_ms
    elif illness == "queue":
        assert chart["queue ms"] > 2 * (chart["compute ms"] + client_ms)
    elif illness == "tokeniser":
        assert own_ms > 2 * chart["of compute: called model ms"]
    else:
        assert client_ms > 5 * server_ms
    assert np.isfinite(chart.to_numpy(float)).all()
    assert triton.config(case.model) == before
