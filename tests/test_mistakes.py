"""The page of common mistakes is what the labs and their wrong answers give."""

from pathlib import Path

from batchlab import mistakes

PROJECT = Path(__file__).resolve().parents[1]


def test_the_committed_page_is_fresh() -> None:
    assert (PROJECT / mistakes.PAGE).read_text(encoding="utf-8") == mistakes.render(PROJECT), (
        "docs/common-mistakes.md is stale: run python -m batchlab.mistakes"
    )


def test_it_names_the_mistake_the_words_and_the_hint() -> None:
    page = mistakes.render(PROJECT)
    part = page[page.index("### one_client") :]
    part = part[: part.index("###", 5)]
    assert "one_client_rps = 1 / 4" in part
    assert "*1,000 times too small*" in part
    assert "how many waits of 4 ms fit in it?" in part


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    for name in ("solutions", "tests"):
        (tmp_path / name).symlink_to(PROJECT / name)
    (tmp_path / "docs").mkdir()
    assert mistakes.write(tmp_path)
    assert not mistakes.write(tmp_path)
