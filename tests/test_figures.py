"""Published figures: their numbers as printed, and simulation on theory in every picture."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure as Picture
from scipy import optimize

import collapse_jax as cj
from collapse_jax.figures import FIGURES
from collapse_jax.figures.mixing import golden, settled
from collapse_jax.figures.strong_collapse import RIDGE, best_weight, best_width, projections

STRONG = {
    "strong-1": 60,
    "strong-2": 60,
    "strong-3": 20,
    "strong-4": 60,
    "strong-5": 60,
    "strong-9": 20,
    "strong-10": 20,
}
SMALL_DIM = STRONG | {"demystified-1": 30, "demystified-2": 30, "demystified-3": 30, "mixing-1": 20, "mixing-2": 20}
# Exact at any size: only the standard errors are allowed, and for students a gap of order 1 / d.
EXACT = 10**9
TAILS = [f"tails-{number}" for number in (3, 5, 6, 10, 11, 12, 17, 19, 21)]
VERIFICATION = [f"verification-{number}" for number in (2, 3, 6)]
SMALL_DIM |= dict.fromkeys(TAILS, EXACT) | dict.fromkeys(VERIFICATION, 60) | {"tails-21": 10}


@functools.cache
def _computed(compute):
    return compute("smoke", 0)


def datasets(name):
    """The smoke-sized numbers of a figure; Figures 2 and 5 share theirs."""
    return _computed(FIGURES[name].compute)


WIDTHS = np.array([*range(5, 485, 5), 1000])


@jax.jit
def projected(quality):
    """Figures 2 and 5 at full size, for each of WIDTHS."""

    def risk(width):
        return cj.theory.risk(projections(600, quality), (300.0, 200.0), RIDGE, width)

    return jax.vmap(risk)(jnp.asarray(WIDTHS, float))


def weighted(dim, n_real, n_synthetic, alpha, noise, ridge=0.0):
    """Figure 9's error; c^2 = 0.25."""
    n = n_real + n_synthetic
    mixture = cj.real_and_synthetic(cj.spectra.isotropic(dim), 1 / dim, 0.25 / dim, *noise)
    weights = jnp.stack([(1 - alpha) * n / n_real, alpha * n / n_synthetic])
    return cj.theory.risk(mixture, [n_real, n_synthetic], ridge, weights=weights).total


# What the figures say --------------------------------------------------------------------------------------------------------


def test_figure_2_has_the_printed_bias_variance_and_collapse():
    """Read off the print, one draw of the labels: bias 0.85 falling to 0.38 at m ~ 250, then 0.08, 0.06 and 1.7 at m = 1000."""
    risk = projected(1.0)
    assert float(risk.bias[WIDTHS == 10][0]) == pytest.approx(0.81, abs=0.01)
    below = risk.bias[WIDTHS < 450]
    assert float(below.min()) == pytest.approx(0.444, abs=0.001)
    assert abs(WIDTHS[below.argmin()] - 250) <= 20
    assert float(risk.bias[-1]) == pytest.approx(0.10, abs=0.005)
    assert float(risk.variance[-1]) == pytest.approx(0.063, abs=0.001)
    assert float(risk.collapse[-1]) == pytest.approx(1.69, abs=0.01)


def test_figure_3_starts_at_one_and_ends_at_a_thousandth_unless_the_data_are_synthetic():
    """With d = 100, noise 1, Corollary 1, sigma^2 phi / (1 - phi) + (p2^2 + p2 p1 phi / (1 - phi)) c^2."""
    dim = 100

    def error(n, p2, quality):
        mixture = cj.real_and_synthetic(cj.spectra.isotropic(dim), 1 / dim, quality / dim, 1.0, 1.0)
        return float(cj.theory.risk(mixture, cj.split(n, p2), RIDGE).total)

    assert error(200, 0.001, 1.0) == pytest.approx(1, rel=0.01)
    assert error(1e5, 0.001, 1.0) == pytest.approx(1e-3, rel=0.01)
    assert error(1e5, 0.1, 1.0) > 10 * error(1e5, 0.001, 1.0)
    for n, p2, quality in [(200, 0.01, 0.1), (1e4, 0.5, 1.0), (1e5, 1.0, 0.01)]:
        growth = 1 / (n / dim - 1)
        corollary = growth + (p2**2 + p2 * (1 - p2) * growth) * quality
        assert error(n, p2, quality) == pytest.approx(corollary, rel=1e-5)


@pytest.mark.parametrize(("quality", "narrower"), [(0.0, False), (0.1, False), (0.5, True), (1.0, True)])
def test_figure_5_large_models_pay_only_for_good_synthetic_data(quality, narrower):
    """The best width below n beats 2n where the synthetic data are bad."""
    total = projected(quality).total
    assert bool(total[:-1].min() < total[-1]) == narrower


@pytest.mark.parametrize(("n_synthetic", "printed"), [(1000.0, 1 / 2), (2000.0, 1 / 3), (4000.0, 1 / 5)])
def test_figure_9_prints_the_real_fraction_where_the_truth_is_one(n_synthetic, printed):
    """At alpha = 0; d, n1 and n2 a fifth of the print's, on which isotropic theory does not depend."""
    p1 = 1000 / (1000 + n_synthetic)
    error = functools.partial(weighted, 100, 200.0, n_synthetic / 5, jnp.asarray(0.0))
    assert float(error(noise=(p1**0.5, (1 - p1) ** 0.5))) == pytest.approx(printed, rel=1e-6)
    assert float(error(noise=(1.0, 1.0))) == pytest.approx(1, rel=1e-6)


def test_figure_9_marks_the_optimum():
    """The parabola on the grid against a scalar minimiser, and against the small-phi formula with corrected Corollary 2."""
    dataset = datasets("strong-9")["theory_a"]
    best = best_weight(dataset)
    for n_synthetic, marked in zip(dataset.n_synthetic.values, best.alpha.values, strict=True):

        def error(alpha, n_synthetic=n_synthetic):
            return float(weighted(100, 200.0, n_synthetic, jnp.asarray(alpha), (1.0, 1.0)))

        found = optimize.minimize_scalar(error, (0.2, 0.5, 0.8), tol=1e-6)
        assert marked == pytest.approx(found.x, abs=0.01)
        assert float(best.total.sel(n_synthetic=n_synthetic)) == pytest.approx(found.fun, rel=1e-3)


def test_figure_9_optimum_approaches_the_corrected_corollary_2():
    """With phi = 1e-3: alpha* = (phi / p1) / (c^2 + phi / p1 + phi / p2), noise 1."""
    n, p2, dim = 1e5, 0.5, 100
    corrected = (1e-3 / (1 - p2)) / (0.25 + 1e-3 / (1 - p2) + 1e-3 / p2)
    error = functools.partial(weighted, dim, n * (1 - p2), n * p2, noise=(1.0, 1.0))
    found = optimize.minimize_scalar(lambda alpha: float(error(alpha=jnp.asarray(alpha))), (0.0, corrected, 0.1))
    assert found.x == pytest.approx(corrected, rel=0.02)


# Every figure ----------------------------------------------------------------------------------------------------------------


LONG = ("demystified-kernels", "mixing-1", "mixing-3", "strong-6")
SLOW = [name for name in (*TAILS, *VERIFICATION) if name not in ("tails-5", "verification-6")]
# Small runs of studies whose commands the checks run too.
STUDIES = ("strong-7", "strong-8", "tails-4", "tails-7", "verification-4", "verification-news", "verification-table-1")
MARKED = {*LONG, *SLOW, *STUDIES}
NAMES = [pytest.param(name, marks=[pytest.mark.slow] if name in MARKED else []) for name in FIGURES]


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_drawn_and_explains_itself(name):
    figure = FIGURES[name]
    assert figure.name == name
    assert figure.title
    if not name.startswith("mixing"):  # those are the library's own
        assert "Deviations" in figure.caption
        for dataset in datasets(name).values():
            assert {"collapse_jax", "jax", "device"} <= set(dataset.attrs)
    picture = figure.draw(datasets(name))
    assert isinstance(picture, Picture)
    picture.canvas.draw()
    panels = [axes for axes in picture.axes if axes.get_label() != "<colorbar>"]
    assert all(panel.get_xlabel() for panel in panels)
    assert panels[0].get_ylabel()
    assert picture.legends or any(panel.get_legend() for panel in panels) or name == "mixing-3"


@pytest.mark.parametrize("name", [name for name in NAMES if name.values[0] not in LONG])
def test_simulation_lies_on_the_theory(name):
    """Within 4.5 standard errors of 24 designs, and the gap that a finite dimension leaves.

    With 400 designs that gap is c/d of each part, c from 1 to 7, the same at d = 60, 120 and 240.
    """
    numbers = datasets(name)
    for simulated_name in [key for key in numbers if key.startswith("simulated")]:
        exact = exact_at(numbers[simulated_name.replace("simulated", "theory")], numbers[simulated_name])
        mean, error = cj.mean_and_error(numbers[simulated_name])
        for part in mean.data_vars:
            gap = abs(mean[part] - exact[part]).where(whole(mean))
            allowed = 4.5 * error[part] + 8 / SMALL_DIM[name] * abs(exact[part]) + 1e-12
            worst = (gap / allowed).max()
            assert worst < 1, f"{part}: {float(worst):.2f} times the allowance"


def whole(simulated):
    """Where the simulated count, a whole number, is within 1% of the fraction asked for."""
    if not {"n", "synthetic_fraction"} <= set(simulated.dims):
        return True
    count = simulated.n * simulated.synthetic_fraction
    return abs(count.round() / count - 1) < 0.01


def exact_at(theory, simulated):
    """The theory at the simulation's points, which its grid contains."""
    dims = {dim: simulated[dim] for dim in ("width", "n", "alpha", "ridge") if dim in simulated.dims}
    return theory.sel(dims, method="nearest", tolerance=1e-6)


def test_figure_5_stars_the_best_width_below_the_threshold():
    theory = datasets("strong-5")["theory"]
    best = best_width(theory, 50)
    assert (best.width < 50).all()
    assert (best.total <= theory.total.sel(width=theory.width < 50)).all()
    assert np.diff(best.width).max() <= 0


@pytest.mark.slow
def test_chains_of_kernel_regressions_lie_on_the_theory_of_the_kernel_matrix():
    """Images are not Gaussian, so within a tenth, beside 4.5 standard errors."""
    numbers = datasets("demystified-kernels")
    for kernel in ("rbf", "polynomial"):
        for rule in ("critical", "adaptive"):
            measured = numbers[f"measured_{kernel}_{rule}"]
            mean, error = cj.mean_and_error(measured)
            exact = numbers[f"theory_{kernel}_{rule}"].sel(n=measured.n, method="nearest", tolerance=1e-6)
            assert (abs(mean.total - exact.total) < 4.5 * error.total + 0.1 * exact.total).all()
        # Chains pay, and with enough samples a ridge that stops to fall pays less.
        last = numbers[f"theory_{kernel}_adaptive"].total.isel(n=-1)
        assert (last.diff("generators") > 0).all()
        assert last[-1] < numbers[f"theory_{kernel}_critical"].total[-1, -1]


def test_fresh_data_keep_a_chain_from_collapse_and_replacing_data_does_not():
    last = datasets("mixing-1")["theory"].total.isel(generation=-1)
    drawn = datasets("mixing-1")["simulated"].total.mean("seed").isel(generation=-1)
    assert last.sel(kind="mix with fresh real data") < 0.5 * last.sel(kind="replace: synthetic data only")
    assert drawn.sel(kind="accumulate: keep all data") < 0.6 * drawn.sel(kind="replace: synthetic data only")


@pytest.mark.parametrize("ratio", [0.25, 1.0, 4.0])
def test_the_best_weight_of_a_long_chain_is_the_golden_ratio_at_equal_counts(ratio):
    """Recovered from the exact chain with much data: n = 1e5 d, 60 generations."""
    spectrum, n = cj.spectra.isotropic(4), 4e5

    @jax.jit
    def error(share):
        return cj.theory.generations(spectrum, 0.25, settled(n, ratio, share, 60)).total[-1]

    found = optimize.minimize_scalar(lambda share: float(error(share)), bounds=(0.1, 0.99), method="bounded")
    assert found.x == pytest.approx(golden(ratio), abs=2e-4)


@pytest.mark.slow
def test_synthetic_data_help_in_a_region():
    """Good labels help, bad ones hurt; inputs that fill the rank to d hurt, many more help."""
    numbers = datasets("mixing-3")
    labels, inputs = numbers["labels"].gain, numbers["inputs"].gain
    assert (labels.isel(quality=0) < 1).all()
    assert (labels.isel(quality=-1) > 1).all()
    assert inputs.isel(synthetic=-1, exponent=0) < 1
    assert inputs.isel(exponent=-1).max() > 1


def test_a_figure_needs_a_known_size_and_float64():
    compute = FIGURES["strong-3"].compute
    with pytest.raises(ValueError, match='size is \'huge\'; it must be "full" or "smoke"'):
        compute("huge", 0)
    with jax.enable_x64(False), pytest.raises(RuntimeError, match="need float64, which is off; turn on float64"):
        compute("smoke", 0)
