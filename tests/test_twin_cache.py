"""What was compiled from other sources is forgotten."""

from pathlib import Path

import pytest

from batchlab import twin_cache


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "twin_a.py").write_text("A = 1\n")
    (tmp_path / "twin_b.py").write_text("B = 1\n")
    (tmp_path / "__pycache__").mkdir()
    twin_cache.forget_stale(tmp_path)
    for name in ("twin_a.run-1.py311.nbi", "twin_a.run-1.py311.1.nbc", "other.nbi"):
        (tmp_path / "__pycache__" / name).write_text("compiled")
    return tmp_path


def left(sources: Path) -> set[str]:
    return {path.name for path in (sources / "__pycache__").glob("*.nb?")}


def test_unchanged_sources_keep_what_was_compiled(sources: Path) -> None:
    assert not twin_cache.forget_stale(sources)
    assert len(left(sources)) == 3


def test_a_change_in_any_source_forgets_all_of_the_twin_and_nothing_else(sources: Path) -> None:
    (sources / "twin_b.py").write_text("B = 2\n")
    assert twin_cache.forget_stale(sources)
    assert left(sources) == {"other.nbi"}
    assert not twin_cache.forget_stale(sources)


def test_it_is_compiled_until_a_source_changes(sources: Path) -> None:
    assert not twin_cache.compiled(sources)
    (sources / "__pycache__" / "twin_kernel.run-1.py311.1.nbc").write_text("compiled")
    assert twin_cache.compiled(sources)
    (sources / "twin_a.py").write_text("A = 2\n")
    assert not twin_cache.compiled(sources)


def test_where_nothing_can_be_kept_nothing_is_compiled_beforehand(tmp_path: Path) -> None:
    assert twin_cache.compiled(tmp_path / "gone")


def test_a_folder_that_cannot_be_written_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "twin_a.py").write_text("A = 1\n")
    (tmp_path / "__pycache__").write_text("a file in the way")
    assert not twin_cache.forget_stale(tmp_path)


def test_the_twin_itself_is_marked() -> None:
    from batchlab import arrivals, simulate, twin, twin_state
    from batchlab.service import ServiceTime

    folder = Path(twin_state.__file__).parent
    assert not twin_cache.forget_stale(folder)
    simulate.simulate(twin.model(ServiceTime.from_function(lambda b: 1.0 + b, (1, 2))), arrivals.constant(50, 1))
    assert twin_cache.compiled(folder)
