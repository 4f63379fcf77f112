"""Results that are NaN or infinite: counted, and told with their coordinates."""

import warnings
from typing import Any

import numpy as np

from collapse_jax.sweep.axes import Grid
from collapse_jax.sweep.program import USED

SHOWN = 3


class Nonfinite:
    """What a sweep has seen so far, by variable."""

    def __init__(self, grid: Grid, seeded: bool, action: str) -> None:
        self.grid, self.seeded, self.action = grid, seeded, action
        self.seen: dict[str, int] = {}
        self.wrong: dict[str, int] = {}
        self.places: dict[str, list[tuple[int, int]]] = {}

    def look(self, results: dict[str, np.ndarray], points: range, seeds: range) -> None:
        """Count in one chunk's results (points, seeds, ...); raises FloatingPointError if that was asked for."""
        used = results.get(USED)
        for name, values in results.items():
            if not np.issubdtype(values.dtype, np.inexact):
                continue
            bad = ~np.isfinite(values).reshape(*values.shape[:2], -1)
            own = bad.shape[2]
            if used is not None:
                evaluated = np.arange(values.shape[1])[None, :] < used
                bad &= evaluated[:, :, None]
                self.seen[name] = self.seen.get(name, 0) + int(evaluated.sum()) * own
            else:
                self.seen[name] = self.seen.get(name, 0) + bad.size
            self.wrong[name] = self.wrong.get(name, 0) + int(bad.sum())
            found = [(points[point], seeds[seed]) for point, seed in np.argwhere(bad.any(-1))[:SHOWN]]
            self.places[name] = sorted([*self.places.get(name, []), *found])[:SHOWN]
            if self.action == "raise" and self.wrong[name]:
                raise FloatingPointError(self.message(name))

    def message(self, name: str) -> str:
        where = "; ".join(self._where(*place) for place in self.places[name])
        more = ", ..." if self.wrong[name] > len(self.places[name]) else ""
        return f"{self.wrong[name]} of {self.seen[name]} values of {name} are not finite, the first at {where}{more}"

    def report(self) -> dict[str, Any]:
        """Attributes of the dataset; warns of the variable that has most."""
        wrong = {name: count for name, count in self.wrong.items() if count}
        if not wrong:
            return {}
        worst = max(wrong, key=lambda name: wrong[name])
        message = self.message(worst)
        warnings.warn(f"{message}. Evaluate that point outside the sweep to see why", RuntimeWarning, stacklevel=4)
        return {"nonfinite": message, "nonfinite_values": sum(wrong.values())}

    def _where(self, point: int, seed: int) -> str:
        numbers, places = self.grid.arguments(np.array([point]))
        parts = [f"{name}={value[0]:g}" for name, value in numbers.items()]
        parts += [f"{name}[{position[0]}]" for name, position in places.items()]
        parts += [f"seed={seed}"] if self.seeded else []
        return ", ".join(parts) or "the only point"
