"""What can go wrong with a picture."""


class PlotError(ValueError):
    """A picture that the data given cannot make."""
