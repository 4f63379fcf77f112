"""Who wrote the data: sources of samples, their label functions and their noise."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from collapse_jax import checks


@jax.tree_util.register_pytree_with_keys_class
@dataclass(frozen=True)
class Mixture:
    """K sources of labelled data in one eigenbasis; source 0 is the target (the real data).

    Source k writes ``y = x.w_k + noise`` with ``x ~ N(0, diag(spectra[k]))``. Any K >= 1.

    Args:
        spectra: (K, d) eigenvalues of each source's inputs, >= 0.
        label_moments: (K, K, d) second moments ``E[w_k * w_l]`` of the label functions along each eigenvector; for every
            direction a positive semidefinite K x K matrix. For fixed label functions, their products.
        noise: (K,) standard deviations of the label noise, >= 0; one number serves all sources. Defaults to 0.
        shared_spectrum: promise that all rows of ``spectra`` are equal (static). Theory then takes its closed form, some 50
            times faster. A broken promise raises, or under ``jit`` gives NaN.

    Raises:
        ValueError: for shapes that do not fit, entries that are negative, infinite or NaN, or moments that are not
            positive semidefinite.

    Source: the setting of *Strong Model Collapse* (section 2.1), for K sources with their own covariances and arbitrary
    label correlations.

    Example:
        >>> spectra = jnp.array([[1.0, 0.5], [1.0, 0.5]])
        >>> truth, teacher = jnp.array([1.0, 2.0]), jnp.array([0.8, 2.0])
        >>> labels = jnp.stack([truth, teacher])
        >>> mixture = Mixture(spectra, labels[:, None, :] * labels[None, :, :], noise=0.1)
        >>> mixture.sources, mixture.dim
        (2, 2)
    """

    spectra: jax.Array
    label_moments: jax.Array
    noise: jax.Array
    shared_spectrum: bool = False

    def __init__(self, spectra: Any, label_moments: Any, noise: Any = 0.0, shared_spectrum: bool = False) -> None:
        spectra = checks.real("spectra", spectra)
        if spectra.ndim != 2 or 0 in spectra.shape:
            raise ValueError(f"spectra has shape {spectra.shape}; it must be (K, d): one row of eigenvalues a source")
        sources, dim = spectra.shape
        label_moments = checks.real("label_moments", label_moments, spectra.dtype)
        checks.shape("label_moments", label_moments, (sources, sources, dim), "second moments E[w_k * w_l], (K, K, d)")
        noise = checks.real("noise", noise, spectra.dtype)
        if noise.ndim == 0:
            noise = jnp.broadcast_to(noise, (sources,))
        checks.shape("noise", noise, (sources,), "one standard deviation a source, (K,)")
        values = (spectra, label_moments, noise, bool(shared_spectrum))
        for field, value in zip(dataclasses.fields(self), values, strict=True):
            object.__setattr__(self, field.name, value)
        self.validate()

    @property
    def sources(self) -> int:
        """K, the number of sources."""
        return self.spectra.shape[-2]

    @property
    def dim(self) -> int:
        """d, the number of directions."""
        return self.spectra.shape[-1]

    @property
    def dtype(self) -> Any:
        """The precision that results follow."""
        return self.spectra.dtype

    @property
    def signal(self) -> jax.Array:
        """(d,) second moments of the truth, the diagonal of Gamma."""
        return self.label_moments[0, 0]

    def shift_moments(self) -> tuple[jax.Array, jax.Array]:
        """Moments of the label shifts ``delta_k = w_k - w_0``: ``E[w_0 delta_k]`` (K, d), ``E[delta_k delta_l]`` (K, K, d)."""
        moments = self.label_moments
        cross = moments[0] - moments[0, :1]
        return cross, moments - moments[:, :1] - moments[:1, :] + moments[:1, :1]

    def validate(self) -> jax.Array:
        """Mask (): whether spectra, moments and noise are possible; raises instead where their values are known."""
        way_out = "Eigenvalues come from cj.spectra; a covariance matrix goes through cj.spectra.from_covariance"
        valid = checks.at_least_zero("spectra", self.spectra, way_out)
        valid &= checks.at_least_zero("noise", self.noise, "noise holds standard deviations")
        valid &= checks.finite("label_moments", self.label_moments)
        _, smallest = semidefinite_root(self.label_moments)
        valid &= checks.require(
            "the smallest pivot of label_moments",
            smallest,
            lambda x: x >= 0,
            "at least 0: positive semidefinite over the sources in every direction",
            "For fixed label functions w (K, d) use w[:, None, :] * w[None, :, :]",
        )
        if self.shared_spectrum:
            # Under jit, two copies of one expression may differ in their last digits.
            rounding = 64 * jnp.finfo(self.dtype).eps * jnp.abs(self.spectra).max()
            gap = jnp.maximum(jnp.abs(self.spectra - self.spectra[:1]).max() - rounding, 0)
            valid &= checks.require(
                "the difference between the rows of spectra",
                gap,
                lambda x: x == 0,
                "0 where shared_spectrum=True",
                "Pass shared_spectrum=False",
            )
        return valid

    def tree_flatten_with_keys(self) -> tuple[Any, Any]:
        names = ("spectra", "label_moments", "noise")
        return [(jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in names], self.shared_spectrum

    @classmethod
    def tree_unflatten(cls, shared_spectrum: bool, leaves: Any) -> "Mixture":
        # Leaves may be gradients, batches or placeholders here, so nothing is checked.
        mixture = object.__new__(cls)
        for field, value in zip(dataclasses.fields(cls), (*leaves, shared_spectrum), strict=True):
            object.__setattr__(mixture, field.name, value)
        return mixture


def real_and_synthetic(
    spectrum: Any, signal: Any, shift: Any, noise_real: Any = 0.0, noise_synthetic: Any = 0.0
) -> Mixture:
    """The two sources of *Strong Model Collapse*: the truth, and a model that is off by an independent shift.

    Args:
        spectrum: (d,) eigenvalues of the inputs of both sources, >= 0.
        signal: (d,) second moments of the true labels' coefficients, the diagonal of Gamma; one number serves all.
        shift: (d,) second moments of the synthetic labels' error, the diagonal of Delta; one number serves all. The
            quality of the synthetic data is ``c^2 = sum(spectrum * shift)``: 0 is perfect.
        noise_real: standard deviation of the noise in real labels.
        noise_synthetic: standard deviation of the noise in synthetic labels.

    Returns:
        A :class:`Mixture` with K = 2; source 0 is real.

    Raises:
        ValueError: for a negative, infinite or NaN entry, or shapes that do not fit.

    Source: *Strong Model Collapse*, section 2.1. Its Definition 1 divides c^2 by d; its figures and corollaries do not
    (``docs/errata.md``).

    Example:
        >>> spectrum = jnp.array([2.0, 1.0])
        >>> mixture = real_and_synthetic(spectrum, signal=0.5, shift=0.25 / spectrum, noise_real=0.1, noise_synthetic=0.1)
        >>> mixture.spectra.shape, mixture.label_moments.shape, mixture.noise.shape
        ((2, 2), (2, 2, 2), (2,))
    """
    spectrum = checks.real("spectrum", spectrum)
    if spectrum.ndim != 1 or not spectrum.size:
        raise ValueError(f"spectrum has shape {spectrum.shape}; it must be (d,): one eigenvalue a direction")
    values = []
    for name, value in (("signal", signal), ("shift", shift)):
        value = checks.real(name, value, spectrum.dtype)
        value = jnp.broadcast_to(value, spectrum.shape) if value.ndim == 0 else value
        checks.shape(name, value, spectrum.shape, "one second moment a direction, as many as eigenvalues")
        checks.at_least_zero(name, value, f"{name} holds second moments, the squares of coefficients")
        values.append(value)
    noise = []
    for name, value in (("noise_real", noise_real), ("noise_synthetic", noise_synthetic)):
        value = checks.real(name, value, spectrum.dtype)
        checks.scalar(name, value)
        checks.at_least_zero(name, value, "It is a standard deviation")
        noise.append(value)
    signal, shift = values
    moments = jnp.stack([jnp.stack([signal, signal]), jnp.stack([signal, signal + shift])])
    return Mixture(jnp.stack([spectrum, spectrum]), moments, jnp.stack(noise), shared_spectrum=True)


def split(n: Any, synthetic_fraction: Any) -> jax.Array:
    """Counts (2,) of real and synthetic samples: ``n * [1 - p2, p2]``.

    Args:
        n: total number of samples, > 0; any real, traced or not.
        synthetic_fraction: p2 in [0, 1], ends included.

    Raises:
        ValueError: for a fraction outside [0, 1] or n that is not positive.

    Example:
        >>> split(1000, 0.25).tolist()
        [750.0, 250.0]
    """
    n = checks.real("n", n)
    synthetic_fraction = checks.real("synthetic_fraction", synthetic_fraction)
    checks.scalar("n", n)
    checks.scalar("synthetic_fraction", synthetic_fraction)
    valid = checks.above_zero("n", n) & checks.fraction("synthetic_fraction", synthetic_fraction)
    dtype = jnp.promote_types(n.dtype, synthetic_fraction.dtype)
    n, synthetic_fraction = n.astype(dtype), synthetic_fraction.astype(dtype)
    return checks.poison(n * jnp.stack([1 - synthetic_fraction, synthetic_fraction]), valid)


@jax.jit
def semidefinite_root(moments: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Lower triangular (K, K, d) root R with ``moments = R R'`` in each direction, and the smallest pivot.

    The pivot is clipped to 0 within rounding, so that a negative one says that the moments are not positive semidefinite.
    """
    sources = moments.shape[0]
    scale = jnp.stack([moments[k, k] for k in range(sources)]).max(0)
    tolerance = 64 * sources * jnp.finfo(moments.dtype).eps * jnp.where(scale > 0, scale, 1)
    # A zero pivot allows only a zero column, up to the square root that Cauchy-Schwarz leaves for rounding.
    loose = jnp.sqrt(tolerance * jnp.where(scale > 0, scale, 1))
    worst = jnp.minimum(0, tolerance - jnp.abs(moments - moments.transpose(1, 0, 2)).max((0, 1)))
    columns = []
    for k in range(sources):
        pivot, column = moments[k, k], jnp.where(jnp.arange(sources)[:, None] >= k, moments[:, k], 0)
        empty = pivot <= tolerance
        worst = jnp.minimum(worst, pivot + tolerance)
        worst = jnp.minimum(worst, jnp.where(empty, loose - jnp.abs(column).max(0), 0))
        root = jnp.where(empty[None, :], 0, column / jnp.sqrt(jnp.where(empty, 1, pivot))[None, :])
        moments = moments - root[:, None, :] * root[None, :, :]
        columns.append(root)
    return jnp.stack(columns, 1), worst.min()
