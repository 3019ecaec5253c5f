"""Machines that the provider may take back: what is assumed of their interruptions, and what they carry on average."""

import math
from dataclasses import dataclass

import numpy as np
import scipy

from batchlab.cost import HOURS_A_DAY, CostError

MINUTES = 60


@dataclass(frozen=True)
class Spot:
    """Machines that the provider may take back: the model of their interruptions, all of it an assumption.

    Attributes:
        discount: share off the on-demand price.
        interruptions_per_hour: of one machine, independent of all others and of the past.
        replace_minutes: from the loss of a machine to its successor's first answer; nothing is paid meanwhile.
        pool_losses_per_day: how often ALL spot machines are taken back at once.
    """

    discount: float = 0.6
    interruptions_per_hour: float = 0.05
    replace_minutes: float = 10.0
    pool_losses_per_day: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.discount < 1:
            raise CostError(f"A discount is a share of the price from 0 to below 1, got {self.discount}.")
        for name in ("interruptions_per_hour", "replace_minutes", "pool_losses_per_day"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise CostError(f"Spot.{name} is 0 or more, got {getattr(self, name)}.")

    @property
    def away(self) -> float:
        """Share of the time that one machine is away, by its own interruptions: ``r / (1 / rate + r)``.

        Source: renewal-reward theorem, S. M. Ross, Introduction to Probability Models, section 7.4.
        """
        return _away(self.interruptions_per_hour, self.replace_minutes / MINUTES)

    @property
    def pool_away(self) -> float:
        """Share of the time that all of them are away at once."""
        return _away(self.pool_losses_per_day / HOURS_A_DAY, self.replace_minutes / MINUTES)

    def __str__(self) -> str:
        pool = f", all at once {self.pool_losses_per_day:g} times a day" if self.pool_losses_per_day else ""
        return (
            f"assumed: spot {100 * self.discount:g} % off; each machine lost {self.interruptions_per_hour:g} times an "
            f"hour, independently{pool}; back after {self.replace_minutes:g} min; a notice is long enough to drain"
        )

    def expected(
        self, rates_rps: np.ndarray, replicas: int, firm: int, spots: int, per_machine: int, rate_rps: float
    ) -> tuple[np.ndarray, float]:
        """Average over all states of the pool: each machine up or away, or all away at once.

        Args:
            rates_rps: offered to the whole fleet, shape ``(n,)``.
            replicas: of the fleet with every machine up.
            firm: machines on demand.
            spots: machines on spot.
            per_machine: replicas that fit one.
            rate_rps: what one replica carries.

        Returns:
            The expected rate served at each rate, shape ``(n,)``, and the expected number of machines up.
        """
        here = np.arange(spots + 1)
        chance = scipy.stats.binom.pmf(here, spots, 1 - self.away) * (1 - self.pool_away)
        chance[0] += self.pool_away
        carried = np.minimum((firm + here) * per_machine, replicas) * rate_rps
        served = (np.minimum(rates_rps[:, None], carried[None, :]) * chance).sum(axis=1)
        return served, float(firm + (here * chance).sum())


def _away(per_hour: float, hours: float) -> float:
    return per_hour * hours / (1 + per_hour * hours)
