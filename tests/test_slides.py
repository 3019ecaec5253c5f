"""The slides: one page a figure, each drawn by the labs' plot functions and honest about its source."""

from pathlib import Path

import pytest
from matplotlib import pyplot as plt

from batchlab import slides


@pytest.mark.timeout(200)
def test_the_slides_are_drawn_and_say_where_their_numbers_come_from(tmp_path: Path) -> None:
    others = plt.get_fignums()
    pictures = slides.figures()
    assert len(pictures) == 5
    for title, picture in pictures.items():
        figure = picture().get_figure(root=True)
        words = " ".join(text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text")))
        assert "published" in words or "simulated" in words, title
        plt.close(figure)
    assert slides.draw(tmp_path / "slides.pdf") == list(pictures)
    assert (tmp_path / "slides.pdf").read_bytes()[:5] == b"%PDF-"
    assert plt.get_fignums() == others
