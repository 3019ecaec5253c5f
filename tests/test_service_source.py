"""A profile, a formula or a saved calibration: read, and refused in one line each."""

import json

import numpy as np
import pytest

from batchlab.profiles import load_profiles
from batchlab.service import Calibration, Overheads, ServiceError, ServiceTime
from batchlab.service_source import chosen, from_formula, read_calibration, write_calibration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10+1*b", [11, 12, 13, 14]),
        ("10", [10, 10, 10, 10]),
        (" max(8, 2*b) + 0.5", [8.5, 8.5, 8.5, 8.5]),
        ("-(-3) + b/2", [3.5, 4, 4.5, 5]),
        ("4*b**0.5", [4, 4 * 2**0.5, 4 * 3**0.5, 8]),
        ("min(b, 3)", [1, 2, 3, 3]),
    ],
)
def test_a_formula_is_tabulated(text: str, expected: list[float]) -> None:
    service = from_formula(text, 4)
    assert service.mean_ms.tolist() == pytest.approx(expected)
    assert text.strip() in service.source


@pytest.mark.parametrize(
    "text",
    ["", "10+", "10+q", "__import__('os')", "b.real", "'a'*b", "max(b)", "[b]", "1/(b-2)", "10**999", "b if b else 1",
     "(0-b)**0.5", "lambda: 1", "True*'x'"],
)  # fmt: skip
def test_what_is_no_formula_is_refused_and_nothing_runs(text: str) -> None:
    with pytest.raises(ServiceError, match="formula"):
        from_formula(text, 4)


def test_a_formula_that_falls_is_refused() -> None:
    with pytest.raises(ServiceError, match="do not decrease"):
        from_formula("20-2*b", 4)
    with pytest.raises(ServiceError, match="1 or more"):
        from_formula("10", 0)


def test_a_profile_by_its_name() -> None:
    name = next(iter(load_profiles()))
    assert chosen(profile=name).name == name
    with pytest.raises(ServiceError, match=f"No profile 'x'.*{name}"):
        chosen(profile="x")


def calibration() -> Calibration:
    service = ServiceTime(np.array([1, 4, 8]), np.array([3.0, 5.5, 9.25]), 0.1, "measured")
    overheads = Overheads(send_ms=0.5, dispatch_ms=0.25, dispatch_item_ms=0.01, answer_ms=0.75, jitter_ms=0.1)
    return Calibration("m", service, overheads, "p", True, ("too few batches",), 12.5, {"runs": 3})


def test_a_calibration_comes_back_as_it_was(tmp_path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(calibration().to_dict()))
    back = chosen(calibration=path)
    assert back.to_dict() == calibration().to_dict()
    assert back.overheads == calibration().overheads
    assert not back.trusted


@pytest.mark.parametrize("content", ["", "[]", "{}", "3", '{"model": "m", "service": 4}'])
def test_another_file_is_no_calibration(tmp_path, content: str) -> None:
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(ServiceError, match="holds no calibration"):
        read_calibration(tmp_path / "c.json")


def test_a_calibration_with_wrong_values_says_which(tmp_path) -> None:
    values = calibration().to_dict()
    values["service"]["mean_ms"][0] = -1
    (tmp_path / "c.json").write_text(json.dumps(values))
    with pytest.raises(ServiceError, match="must be above 0"):
        read_calibration(tmp_path / "c.json")
    with pytest.raises(ServiceError, match="cannot be read"):
        read_calibration(tmp_path / "none.json")


def test_exactly_one_source_is_wanted(tmp_path) -> None:
    with pytest.raises(ServiceError, match="Say once"):
        chosen()
    with pytest.raises(ServiceError, match="got a profile and a formula"):
        chosen(profile="p", formula="10")


def test_a_calibration_is_written_whole_or_refused_in_one_line(tmp_path) -> None:
    write_calibration(tmp_path / "c.json", calibration())
    assert read_calibration(tmp_path / "c.json").to_dict() == calibration().to_dict()
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]
    with pytest.raises(ServiceError, match="cannot be written"):
        write_calibration(tmp_path / "no folder" / "c.json", calibration())
