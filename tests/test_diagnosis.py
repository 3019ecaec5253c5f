"""Why a model is not there, in words that help."""

from pathlib import Path

import pytest

from batchlab import diagnosis


def test_what_is_not_loaded_names_the_nearest() -> None:
    message = diagnosis.not_loaded("resnet5", ["null", "resnet50"])
    assert "Did you mean 'resnet50'?" in message
    assert "Loaded: null, resnet50" in message
    assert "Loaded: none" in diagnosis.not_loaded("x", [])


def test_a_model_without_a_folder_is_told_with_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "null").mkdir()
    (tmp_path / "null" / "config.pbtxt").touch()
    assert diagnosis.why_not_loaded("x", "failed", "", tmp_path).endswith("It holds: null.")
    assert diagnosis.why_not_loaded("nul", "failed", "", tmp_path).endswith("Did you mean 'null'?")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "load failed for model 'm': version 1 is at UNAVAILABLE state: Internal: no luck\n\nAt:\n  m.py(3)\n;",
            "Model 'm' did not load: no luck.",
        ),
        (
            "load failed for model 'm': at least one version must be available under the version policy of model 'm'",
            "make `m/1/` and put the model in it.",
        ),
        ("explicit model load / unload is not allowed if polling is enabled", "--model-control-mode=explicit."),
    ],
)
def test_tritons_words_are_peeled(words: str, expected: str) -> None:
    assert expected in diagnosis.why_not_loaded("m", words, "", None)
