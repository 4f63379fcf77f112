"""What the study of stories finds, as labelled datasets."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from collapse_jax.names import attributes, made_with
from collapse_jax.networks.gpt import parameters
from collapse_jax.planner import Laws, fit_law
from collapse_jax.stories_study.corpus import Corpus
from collapse_jax.stories_study.sizes import Size

TAIL = 3  # the first so many evaluations are left out of a fit: warm-up


class Result(NamedTuple):
    """Losses of students on held-out reference stories.

    Attributes:
        fractions: over (tokens, synthetic_fraction, seed): ``total``, nats a story above the truth where it is known, else nats
            a token; ``training``, loss on their own windows, nats a token.
        depths: over (tokens, layers, seed), all stories synthetic.
        floors: over (synthetic_fraction,): the fitted law's floor, its error and Akaike weight, scale and exponent.
        samples: a few texts that the generator wrote.
    """

    fractions: xr.Dataset
    depths: xr.Dataset
    floors: xr.Dataset
    samples: list[str]

    def datasets(self) -> dict[str, xr.Dataset]:
        """All of them by name."""
        return {"fractions": self.fractions, "depths": self.depths, "floors": self.floors}


def dataset(arrays: Mapping[str, np.ndarray], corpus: Corpus, size: Size, axes: Mapping[str, Any]) -> xr.Dataset:
    """Arrays over named axes, in order, with what they were made of."""
    known = corpus.truth is not None
    meanings = {
        "total": "loss above the truth" if known else "loss on held-out stories",
        "training": "loss on the student's own windows",
        "tokens": "tokens seen",
        "layers": "layers",
        "generation": "generation",
    }
    units = {"total": "nats a story" if known else "nats a token", "training": "nats a token", "tokens": "tokens"}

    def described(name: str) -> dict[str, str]:
        own = {"long_name": meanings.get(name), "units": units.get(name)}
        return attributes(name) | {key: value for key, value in own.items() if value is not None}

    made: dict[str, Any] = {
        **made_with(),
        "parameters": parameters(size.shape),
        "context": size.shape.context,
        "generator_tokens": size.generator_tokens,
        "source": size.source,
    }
    if corpus.world is not None:
        made["entropy"] = corpus.world.entropy
    coords = {name: (name, np.asarray(values), described(name)) for name, values in axes.items()}
    variables = {name: (tuple(axes), array, described(name)) for name, array in arrays.items()}
    return xr.Dataset(variables, coords, made)


def floors(fractions: xr.Dataset) -> xr.Dataset:
    """The law ``floor + scale * tokens**-exponent`` through the mean of the seeds at each fraction."""
    used = fractions.isel(tokens=slice(TAIL, None)).total
    mean, spread = used.mean("seed"), used.std("seed", ddof=1) if used.sizes["seed"] > 1 else None
    laws: list[Laws] = []
    for fraction in used.synthetic_fraction.values:
        loss = mean.sel(synthetic_fraction=fraction).values
        error = None
        if spread is not None:
            # Seeds are few, so their spread is taken over all points of a curve together.
            relative = float(np.sqrt(((spread / mean).sel(synthetic_fraction=fraction) ** 2).mean()))
            error = relative * loss / np.sqrt(used.sizes["seed"])
        laws.append(fit_law(used.tokens.values, loss, error))
    columns = {
        "floor": [law.with_floor.floor for law in laws],
        "floor_error": [law.with_floor.errors[0] for law in laws],
        "scale": [law.with_floor.scale for law in laws],
        "exponent": [law.with_floor.exponent for law in laws],
        "floor_weight": [law.floor_weight for law in laws],
    }
    axis = "synthetic_fraction"
    coords = {axis: (axis, used.synthetic_fraction.values, attributes(axis))}
    attrs = fractions.attrs | {"unit": fractions.total.attrs.get("units", "")}
    return xr.Dataset({name: (axis, np.asarray(values)) for name, values in columns.items()}, coords, attrs)
