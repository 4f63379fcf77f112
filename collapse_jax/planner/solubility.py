"""The planner on a real table: solubility of compounds in water, with synthetic labels written by a poor model.

``python -m collapse_jax.planner.solubility --data FILE --out DIRECTORY`` measures, predicts, prints and draws what
``docs/planner.md`` shows. All errors are *excess* errors: squared error beyond that of the best linear model, on held-out
compounds.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import collapse_jax as cj
from collapse_jax import plotting
from collapse_jax.data.tables import Table, aqsoldb, normal_scores, with_products
from collapse_jax.planner.estimate import Estimate, fit
from collapse_jax.planner.measure import Measured, measure
from collapse_jax.planner.mix import Choice, Plan, plan
from collapse_jax.simulate.positive import product
from collapse_jax.study import plain_ticks

TEACHER_ROWS, TEACHER_RIDGE, TEACHER_NOISE = 150, 0.1, 0.5
HELD_OUT = 0.2  # of the compounds that the teacher has not seen
RIDGES = (0.01, 0.1)
RIDGE = 0.1  # of the picture
SAMPLES = (50, 100, 200, 400, 800, 1600, 3200, 6400)
FRACTIONS = (0.0, 0.25, 0.5, 1.0)
SPLITS = 40
SEEN = 800  # the estimate is made from the errors up to here
BUDGETS = ((100, 3000), (300, 6000))  # real samples and pool of the plans that are tried
NAMES = ("plan", "only the real", "all as if real", "weight 1")


class Task(NamedTuple):
    """Solubility from descriptors, with a teacher that has seen few compounds.

    Attributes:
        inputs: (N, d) compounds that the teacher has not seen, along the eigenvectors of their covariance.
        outputs: (N,) their centred solubility.
        synthetic: (N,) what the teacher says of them, its noise included.
        measured: what the planner measures of these rows.
    """

    inputs: jax.Array
    outputs: jax.Array
    synthetic: jax.Array
    measured: Measured


def task(table: Table, seed: int) -> Task:
    """Descriptors and their products as normal scores; a teacher fitted on ``TEACHER_ROWS`` compounds that ``seed`` chooses."""
    features = normal_scores(with_products(normal_scores(table.inputs)))
    order_key, noise_key = jax.random.split(jax.random.key(seed))
    order = jax.random.permutation(order_key, len(features))
    taught, rows = order[:TEACHER_ROWS], order[TEACHER_ROWS:]
    level = table.outputs[taught].mean()
    teacher = cj.simulate.fit_rows(features[taught], table.outputs[taught] - level, TEACHER_RIDGE)
    noise = TEACHER_NOISE * jax.random.normal(noise_key, rows.shape)
    synthetic = product(features[rows], teacher[:, None])[:, 0] + level + noise
    measured = measure(features[rows], table.outputs[rows], synthetic, RIDGE)
    inputs, outputs = measured.eigenbasis.coordinates(features[rows]), table.outputs[rows]
    return Task(inputs, outputs - outputs.mean(), synthetic - synthetic.mean(), measured)


def measured_curves(task: Task, samples: Sequence[int], splits: int, seed: int) -> xr.Dataset:
    """Excess error of ridge regression over n, synthetic fraction, ridge and random splits (dimension ``seed``)."""
    rng = np.random.default_rng(seed)
    errors = np.zeros((len(samples), len(FRACTIONS), len(RIDGES), splits))
    for split in range(splits):
        test, train = _split(task, rng)
        for i, n in enumerate(samples):
            replaced = np.arange(n)[:, None] < np.round(np.multiply(n, FRACTIONS))[None, :]
            rows = train[:n]
            labels = np.where(replaced, np.asarray(task.synthetic)[rows, None], np.asarray(task.outputs)[rows, None])
            for j, ridge in enumerate(RIDGES):
                errors[i, :, j, split] = _excess(task, test, cj.simulate.fit_rows(task.inputs[rows], labels, ridge))
    axes = {**_axes(samples), "seed": np.arange(splits)}
    dataset = xr.Dataset({"total": (tuple(axes), errors)}, axes)
    dataset.n.attrs["long_name"] = "training compounds n"
    dataset.total.attrs["long_name"] = "excess test error"
    return dataset


def tried(task: Task, choices: Sequence[Choice], splits: int, seed: int) -> np.ndarray:
    """(choices, splits) excess errors of the ways to train, all on the same splits."""
    rng = np.random.default_rng(seed)
    errors = np.zeros((len(choices), splits))
    for split in range(splits):
        test, train = _split(task, rng)
        for i, choice in enumerate(choices):
            real, synthetic = round(choice.real), round(choice.synthetic)
            rows = train[: real + synthetic]
            labels = np.concatenate([task.outputs[rows[:real]], task.synthetic[rows[real:]]])
            weights = np.concatenate([np.ones(real), np.full(synthetic, choice.weight)])
            fitted = cj.simulate.fit_rows(task.inputs[rows], labels[:, None], choice.ridge, weights)
            errors[i, split] = _excess(task, test, fitted)[0]
    return errors


def theory(measured: Measured, samples: Any, plain: bool = False) -> xr.Dataset:
    """What theory says of the measured mixture; ``plain`` takes the noise to be the same for all compounds."""
    mixture = measured.mixture
    if plain:
        mixture = cj.Mixture(mixture.spectra, mixture.label_moments, measured.plain_noise, shared_spectrum=True)

    def point(n: Any, synthetic_fraction: Any, ridge: Any) -> cj.Risk:
        return cj.theory.risk(mixture, cj.split(n, synthetic_fraction), ridge)

    return cj.sweep(point, progress=False, **_axes(samples))


def estimated(task: Task, measured: xr.Dataset) -> Estimate:
    """The estimate from the mean errors of up to ``SEEN`` compounds, the spectrum and the variance of the labels."""
    mean, error = cj.mean_and_error(measured.sel(n=slice(None, SEEN)))
    spectrum = task.measured.mixture.spectra[0]
    variance = float((task.outputs**2).mean())
    return fit(mean.assign(error_std=error.total), spectrum=spectrum, label_variance=variance)


def predicted(estimate: Estimate, samples: Any) -> xr.Dataset:
    """The estimate's errors, with ``std``, on the grid of :func:`theory`."""
    axes = _axes(samples)
    n, synthetic_fraction, ridge = np.meshgrid(*axes.values(), indexing="ij")
    error, std = estimate.predict(n, synthetic_fraction, ridge=ridge)
    return xr.Dataset({"total": (tuple(axes), error), "std": (tuple(axes), std)}, axes)


def draw(measured: xr.Dataset, theory: xr.Dataset, predicted: xr.Dataset) -> Figure:
    """Measured points beside the theory of the rows, and beside the estimate from the first of them, at ``RIDGE``."""
    measured, theory, predicted = (dataset.sel(ridge=RIDGE, drop=True) for dataset in (measured, theory, predicted))
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for dataset in (theory, predicted):
        dataset.n.attrs |= measured.n.attrs
        dataset.total.attrs |= measured.total.attrs
    plotting.curves(theory, measured, x="n", hue="synthetic_fraction", ax=left)
    left.set_title("Theory of the rows: nothing fitted")
    plotting.curves(predicted, measured, x="n", hue="synthetic_fraction", ax=right, legend=False)
    _band(right, predicted)
    right.axvspan(float(predicted.n.min()), SEEN, color="0.92", zorder=0)
    right.set_title(f"Estimated from the errors up to n = {SEEN} (shaded)")
    right.set_ylabel("")
    plain_ticks(left, (0.2, 0.3, 0.5, 1, 2, 3))
    legend = left.get_legend()
    assert legend is not None
    legend.get_texts()[-1].set_text(f"measured, {measured.sizes['seed']} random splits")
    return figure


def main(words: Sequence[str] | None = None) -> None:
    """Measure, predict, print, draw."""
    parser = argparse.ArgumentParser(description="The planner on AqSolDB.")
    parser.add_argument("--data", help="AqSolDB's file (default: as collapse_jax.data.tables.aqsoldb finds it)")
    parser.add_argument("--out", default="results", help="directory for the picture")
    parser.add_argument("--splits", type=int, default=SPLITS, help="random splits (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    jax.config.update("jax_enable_x64", True)
    problem = task(aqsoldb(given.data), given.seed)
    measured = measured_curves(problem, SAMPLES, given.splits, given.seed)
    mean, error = cj.mean_and_error(measured)
    estimate = estimated(problem, measured)
    print(estimate)
    _print_gaps("standard error", error.total / mean.total)
    _print_gaps("theory of the rows", mean.total / theory(problem.measured, SAMPLES).total - 1)
    _print_gaps("the same, plain noise", mean.total / theory(problem.measured, SAMPLES, plain=True).total - 1)
    _print_gaps("estimate", mean.total / predicted(estimate, SAMPLES).total - 1)
    for budget in BUDGETS:
        for source in (problem.measured.mixture, estimate):
            _print_plan(problem, plan(source, *budget), given.splits, given.seed + 1)
    fine = np.union1d(SAMPLES, np.geomspace(SAMPLES[0], 1e5, 80))
    picture = draw(measured, theory(problem.measured, fine), predicted(estimate, fine))
    path = Path(given.out)
    path.mkdir(parents=True, exist_ok=True)
    picture.savefig(path / "planner-solubility.png", dpi=130)


def _axes(samples: Any) -> dict[str, Any]:
    return {"n": np.asarray(samples, float), "synthetic_fraction": np.array(FRACTIONS), "ridge": np.array(RIDGES)}


def _split(task: Task, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(len(task.inputs))
    held_out = round(HELD_OUT * len(order))
    return order[:held_out], order[held_out:]


def _excess(task: Task, test: np.ndarray, fitted: jax.Array) -> np.ndarray:
    """Mean squared error (c,) of coefficients (d, c) on held-out rows, less that of the best linear model there."""
    # That model has seen these rows: its residuals are scaled to their degrees of freedom.
    squares = task.measured.residuals[0] ** 2
    floor = squares[test].mean() * task.measured.plain_noise[0] ** 2 / squares.mean()
    missed = product(task.inputs[test], fitted) - task.outputs[test][:, None]
    return np.asarray((missed**2).mean(0) - floor)


def _band(axes: Axes, predicted: xr.Dataset) -> None:
    for fraction in predicted.synthetic_fraction:
        curve = predicted.sel(synthetic_fraction=fraction)
        low, high = curve.total - 2 * curve["std"], curve.total + 2 * curve["std"]
        axes.fill_between(curve.n, np.maximum(low, 1e-3), high, color="0.5", alpha=0.2, lw=0)


def _print_gaps(name: str, gaps: xr.DataArray) -> None:
    print(f"{name}, percent; columns: n")
    for ridge in RIDGES:
        percent = 100 * gaps.sel(ridge=ridge).transpose("synthetic_fraction", "n").values
        print(f"  ridge {ridge:g}: typical {np.sqrt((percent**2).mean()):.1f}")
        for fraction, row in zip(FRACTIONS, percent, strict=True):
            print(f"    {fraction:<5g}" + "".join(f"{value:7.1f}" for value in row))


def _print_plan(task: Task, planned: Plan, splits: int, seed: int) -> None:
    choices = [planned.best, planned.real_alone, planned.as_if_real, planned.unweighted]
    errors = tried(task, [choice for choice in choices if choice is not None], splits, seed)
    print(planned)
    for name, choice, row in zip(NAMES, choices, errors, strict=True):
        assert choice is not None
        spread = row.std(ddof=1) / np.sqrt(splits)
        print(f"  {name:<16} predicted {choice.error:.3f}, measured {row.mean():.3f} ± {spread:.3f}")


if __name__ == "__main__":
    main()
