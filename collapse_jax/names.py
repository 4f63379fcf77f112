"""What datasets and pictures call the numbers that users sweep and the results they get."""

import jax

LONG_NAMES = {
    "n": "samples n",
    "width": "width m",
    "synthetic_fraction": "synthetic fraction p₂",
    "quality": "quality c²",
    "ridge": "ridge λ",
    "alpha": "weight of the synthetic data α",
    "dim": "dimension d",
    "noise": "label noise σ",
    "generation": "generation",
    "generators": "generators in the chain",
    "total": "test error",
    "bias": "bias B",
    "variance": "variance V",
    "collapse": "collapse ζ",
    "seeds_used": "seeds used",
}

UNITS = {
    "n": "samples",
    "width": "random projections",
    "synthetic_fraction": "1",
    "quality": "squared label units",
    "ridge": "squared input units",
    "alpha": "1",
    "dim": "1",
    "noise": "label units",
    "generation": "1",
    "total": "squared label units",
    "bias": "squared label units",
    "variance": "squared label units",
    "collapse": "squared label units",
    "seeds_used": "seeds",
}


def made_with() -> dict[str, str]:
    """What computed a dataset: the versions of collapse_jax and JAX, and the kind of device.

    Example:
        >>> sorted(made_with())
        ['collapse_jax', 'device', 'jax']
    """
    import collapse_jax

    return {
        "collapse_jax": collapse_jax.__version__,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }


def attributes(name: str) -> dict[str, str]:
    """Attributes of a coordinate or variable of this name: nothing where it is not one of the field's.

    Example:
        >>> attributes("width")
        {'long_name': 'width m', 'units': 'random projections'}
    """
    known = {"long_name": LONG_NAMES.get(name), "units": UNITS.get(name)}
    return {key: value for key, value in known.items() if value is not None}
