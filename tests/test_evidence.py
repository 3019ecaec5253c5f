"""Evidence beside a notebook: what was changed, copied or measured elsewhere is told, and what is honest is not."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchlab import evidence, journal
from batchlab.measure import Run
from batchlab.provenance import Machine, Provenance

KEY, OTHER_KEY = "k" * 64, "o" * 64
ELSEWHERE = Machine("another processor", 96, 512.0, "Linux x86_64", "3.11.0")


def made_run(seed: int, machine: Machine | None = None) -> Run:
    """Return a run as a measurement leaves it, its latencies made up by a seed."""
    rng = np.random.default_rng(seed)
    intended = np.sort(rng.uniform(0, 10, 200))
    samples = pd.DataFrame({"intended_s": intended, "sent_s": intended + 1e-4})
    samples["done_s"] = samples["sent_s"] + rng.gamma(4, 0.005, 200)
    samples = samples.assign(batch_size=1, ok=True, error="")
    known = {"machine": machine} if machine else {}
    return Run(samples, Provenance("emulated", "bert_t4", "triton", **known), "open_loop")


@pytest.fixture
def handed_in(tmp_path: Path) -> Path:
    """A submission's folder as `pack` and the intake make it, with two runs."""
    return unpacked(tmp_path, "ada", KEY, [made_run(1), made_run(2)])


def unpacked(tmp_path: Path, learner: str, key: str, runs: list[Run]) -> Path:
    folder = tmp_path / f"of {learner}"
    folder.mkdir()
    (folder / "01_lab.ipynb").write_text("{}")
    (folder / evidence.TICKET).write_text(json.dumps({"learner": learner, "seed": 1, "key": key}))
    paths = [journal.save(run, folder) for run in runs]
    place = evidence.pack(folder / "01_lab.ipynb", paths, folder / evidence.TICKET, folder)
    with zipfile.ZipFile(place) as archive:
        archive.extractall(folder / "in")
    return folder / "in" / "01_lab"


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def first_run(place: Path) -> Path:
    return sorted((place / "runs").glob("*.jsonl"))[0]


def test_honest_work_is_not_remarked(handed_in: Path) -> None:
    assert evidence.remarks(handed_in, KEY) == []


def test_a_bare_notebook_is_not_remarked(tmp_path: Path) -> None:
    assert evidence.remarks(tmp_path, KEY) == []


def test_another_learners_folder(handed_in: Path) -> None:
    (remark,) = evidence.remarks(handed_in, OTHER_KEY)
    assert "seal is not this learner's" in remark


def test_a_record_that_was_edited(handed_in: Path) -> None:
    edited(handed_in / "record.json", '"learner": "ada"', '"learner": "bob"')
    assert "changed by hand" in evidence.remarks(handed_in, KEY)[0]


def test_a_notebook_that_was_changed_after_packing(handed_in: Path) -> None:
    (handed_in / "01_lab.ipynb").write_text("{ }")
    assert evidence.remarks(handed_in, KEY) == ["01_lab.ipynb was changed after it was packed."]


def test_a_latency_that_was_edited(handed_in: Path) -> None:
    lines = first_run(handed_in).read_text().splitlines()
    values = json.loads(lines[5])
    values[2] = values[1] - 0.001
    first_run(handed_in).write_text("\n".join([*lines[:5], json.dumps(values), *lines[6:], ""]))
    remarks = " ".join(evidence.remarks(handed_in, KEY))
    assert "was changed after it was packed" in remarks
    assert "before their request was sent" in remarks


def test_a_broken_run_and_a_broken_record(handed_in: Path) -> None:
    first_run(handed_in).write_text("nonsense")
    assert any("not a saved run" in remark for remark in evidence.remarks(handed_in, KEY))
    (handed_in / "record.json").write_text("[]")
    assert "cannot be read" in evidence.remarks(handed_in, KEY)[0]


def test_a_missing_and_an_additional_run(handed_in: Path) -> None:
    first_run(handed_in).rename(handed_in / "runs" / "another.jsonl")
    remarks = evidence.remarks(handed_in, KEY)
    assert sum("was not handed in" in remark for remark in remarks) == 1
    assert "runs/another.jsonl is not in the record." in remarks


def test_a_run_of_another_machine(tmp_path: Path) -> None:
    place = unpacked(tmp_path, "ada", KEY, [made_run(1, ELSEWHERE), made_run(2)])
    (remark,) = evidence.remarks(place, KEY)
    assert "measured on another machine: another processor, 96 cores" in remark


def test_copied_lines_are_doubted_and_a_simulation_is_not() -> None:
    run = made_run(1)
    run.samples.loc[:40, "done_s"] = run.samples.loc[:40, "intended_s"] + 0.02
    assert "copied lines" in evidence.doubts(run)[0]
    run.kind = "simulated"
    assert evidence.doubts(run) == []


def test_one_run_in_two_submissions(tmp_path: Path) -> None:
    places = {
        "ada": unpacked(tmp_path, "ada", KEY, [made_run(1), made_run(2)]),
        "bob": unpacked(tmp_path, "bob", OTHER_KEY, [made_run(2, ELSEWHERE)]),
        "cy": unpacked(tmp_path, "cy", KEY, [made_run(3)]),
    }
    told = evidence.shared(places)
    assert set(told) == {"ada", "bob"}
    assert "the very samples of a run of ada" in told["bob"][0]


def test_without_a_ticket_or_a_notebook_one_line_says_so(tmp_path: Path) -> None:
    with pytest.raises(evidence.EvidenceError, match=r"learner\.json beside them"):
        evidence.pack(tmp_path / "lab.ipynb", [], tmp_path / "learner.json", tmp_path)
    (tmp_path / "learner.json").write_text('{"learner": "ada", "key": "k"}')
    with pytest.raises(evidence.EvidenceError, match=r"lab\.ipynb cannot be read"):
        evidence.pack(tmp_path / "lab.ipynb", [], tmp_path / "learner.json", tmp_path)


def test_the_numbers_are_those_of_the_samples(handed_in: Path) -> None:
    run = journal.load(first_run(handed_in))
    (line, _) = evidence.recomputed(handed_in)
    assert f"P99 {run.percentile_ms(99).value:.4g} ms" in line
    assert "200 samples" in line


def test_what_was_right_at_home_counts_only_under_the_seal(tmp_path: Path) -> None:
    (tmp_path / "lab.ipynb").write_text("{}")
    (tmp_path / "learner.json").write_text(json.dumps({"learner": "ada", "key": KEY}))
    place = evidence.pack(tmp_path / "lab.ipynb", [], tmp_path / "learner.json", tmp_path, {"q": "20"})
    with zipfile.ZipFile(place) as archive:
        archive.extractall(tmp_path / "in")
    assert evidence.right_at_home(tmp_path / "in" / "lab", KEY) == {"q": "20"}
    assert evidence.right_at_home(tmp_path / "in" / "lab", OTHER_KEY) == {}
    edited(tmp_path / "in" / "lab" / "record.json", '"q"', '"r"')
    assert evidence.right_at_home(tmp_path / "in" / "lab", KEY) == {}
    assert evidence.right_at_home(tmp_path, KEY) == {}
