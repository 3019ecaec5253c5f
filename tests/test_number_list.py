"""Numbers in one option of a command: in their order, or one clear error that names the option."""

import pytest
import typer

from batchlab.number_list import numbers


def test_numbers_come_in_their_order_whatever_spaces_and_commas() -> None:
    assert numbers("--rate", " 30, 10,20,", int) == [30, 10, 20]
    assert numbers("--wait-ms", "0.5", float) == [0.5]


def test_none_at_all_is_refused_unless_it_will_do() -> None:
    assert numbers("--rate", "", float, empty=True) == []
    with pytest.raises(typer.BadParameter, match="'' is not a comma-separated list"):
        numbers("--rate", "", float)


@pytest.mark.parametrize("empty", [False, True])
def test_what_is_no_such_number_is_refused(empty: bool) -> None:
    with pytest.raises(typer.BadParameter, match=r"'1,2\.5' is not a comma-separated list") as refused:
        numbers("--max-batch", "1,2.5", int, empty=empty)
    assert refused.value.param_hint == "--max-batch"
