"""Patients: a name decides who they are, and what Triton counts tells the illnesses apart."""

import dataclasses

import numpy as np
import pytest

from batchlab import patients, server

NAMES = ["Ada", "Grace", "Edsger", "Barbara", "Donald", "Radia", "Leslie", "Margaret"]


def test_a_name_is_a_seed_whatever_its_case_and_blanks() -> None:
    assert patients.seed_of("Ada Lovelace") == patients.seed_of(" ada  LOVELACE ")
    assert patients.seed_of("Ada") != patients.seed_of("Eda")
    assert 0 <= patients.seed_of("") < 2**32


def test_a_learner_meets_the_same_patients_again() -> None:
    assert patients.ward("Ada") == patients.ward("ada")


def test_two_learners_get_different_numbers_and_orders() -> None:
    wards = [patients.ward(name) for name in NAMES]
    assert len({tuple((p.rate_rps, p.other_rps, p.seed) for p in ward) for ward in wards}) == len(NAMES)
    assert len({tuple(p.illness for p in ward) for ward in wards}) > 3


def test_three_different_illnesses_each_with_its_symptom() -> None:
    for name in NAMES:
        ward = patients.ward(name)
        assert [p.number for p in ward] == [1, 2, 3]
        assert len({p.illness for p in ward}) == 3
    assert set(patients.SYMPTOMS) == set(patients.ILLNESSES)
    assert {p.illness for name in NAMES for p in patients.ward(name)} == set(patients.ILLNESSES)


def test_a_patient_does_not_show_what_was_changed() -> None:
    assert "microseconds" not in repr(patients.ward("Ada"))


@pytest.fixture(scope="module")
def triton():
    with server.start([patients.CRITICAL, patients.OTHER], reuse=False) as started:
        yield started


def patient(illness):
    (found,) = [p for name in NAMES for p in patients.ward(name) if p.illness == illness][:1]
    return dataclasses.replace(found, number=1)


@pytest.mark.parametrize("illness", patients.ILLNESSES)
def test_the_chart_shows_the_symptom(triton, illness) -> None:
    before = triton.config(patients.CRITICAL)
    chart = patient(illness).chart(triton, seconds=3.0)
    sent, answered, rejected = chart["sent by the client"], chart["answered, by Triton"], chart["rejected, by Triton"]
    if illness == "limiter":
        assert chart["mean compute ms"] > 20
        assert (answered, rejected) == (sent, 0)
    elif illness == "company":
        assert chart["mean queue ms"] > 2 * chart["mean compute ms"]
        assert (answered, rejected) == (sent, 0)
    elif illness == "timeout":
        assert rejected > 0
        assert answered + rejected == sent
    else:
        assert rejected == 0
        assert answered < sent - 5
    assert chart.name == "patient 1"
    assert np.isfinite(chart.to_numpy(float)).all()
    assert triton.config(patients.CRITICAL) == before
