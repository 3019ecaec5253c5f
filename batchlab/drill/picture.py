"""A picture of a diagnosis question: what is shown of a sick service's run, and by which plot function of the labs."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchlab.drill.question import DrillError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_IN = (7.2, 4.0)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that is drawn when somebody looks.

    Attributes:
        plot: name of a function of `batchlab.plots`.
        shown: what that function draws: a simulated run, or several by label.
        options: its further arguments.
    """

    plot: str
    shown: Any
    options: Mapping[str, Any] = field(default_factory=dict)

    def draw(self, ax: "Axes | None" = None) -> "Axes":
        """Draw into `ax`, or into a figure of its own, and return the axes."""
        # Matplotlib takes its time to load, and most questions have no picture.
        from batchlab import plots

        drawn: Axes = getattr(plots, self.plot)(self.shown, **self.options, ax=ax)
        return drawn

    def save(self, folder: Path, name: str) -> Path:
        """Write the picture as ``<name>.png`` into a folder and return the file's path; an older one is replaced.

        Raises:
            DrillError: the folder cannot be written.
        """
        from matplotlib import pyplot as plt

        from batchlab.plots.canvas import STYLE
        from batchlab.plots.live import blank

        figure = blank(*SIZE_IN)
        with plt.style.context(STYLE):
            self.draw(figure.add_subplot())
        path = folder / f"{name}.png"
        with _writing(folder):
            figure.savefig(path)
        return path


def folder_for(path: Path) -> Path:
    """Return a folder that pictures can be written to, made where it is missing.

    Raises:
        DrillError: it cannot be made, or not written.
    """
    # Asked before the first question: nobody should answer four of them and then lose the fifth.
    with _writing(path):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    return path


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DrillError(
            f"Pictures cannot be written to {folder}: {error.strerror or error}. Name another folder with --pictures."
        ) from error
