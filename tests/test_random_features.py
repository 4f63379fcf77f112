"""Random features in closed form: every route is one ridge regression; the kernel and the theory of a pool of images."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import collapse_jax as cj
from collapse_jax.data import digits
from collapse_jax.data.images import normalised, splits, synthetic_rows
from collapse_jax.networks import random_features as module
from collapse_jax.networks.kernels import kernel
from collapse_jax.networks.pool import Pool, pool_of, pool_risk
from collapse_jax.networks.random_features import cheapest, feature_predictions, features

KEY = jax.random.key(5)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that 50 features or images are several."""
    monkeypatch.setattr(module, "BLOCK", 16)
    monkeypatch.setattr(module, "ROWS", 16)
    monkeypatch.setattr(module, "KEPT", 0)


def problem(n: int = 60, tests: int = 9, dim: int = 7) -> tuple[jax.Array, jax.Array, jax.Array]:
    keys = jax.random.split(jax.random.key(1), 3)
    return (
        jax.random.normal(keys[0], (n, dim)),
        jax.random.normal(keys[1], (n, 2, 3)),
        jax.random.normal(keys[2], (tests, dim)),
    )


def direct(made: jax.Array, labels: jax.Array, made_test: jax.Array, ridge: float, n: int) -> jax.Array:
    """Ridge regression as one would write it."""
    z, y = made[:n], labels[:n].reshape(n, -1)
    coefficients = jnp.linalg.solve(z.T @ z / n + ridge * jnp.eye(z.shape[1]), z.T @ y / n)
    return (made_test @ coefficients).reshape(len(made_test), *labels.shape[1:])


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("width", "tests", "route", "activation"),
    [
        (23, 9, (False, False), "relu"),
        (50, 9, (False, False), "fourier"),
        (200, 9, (True, True), "erf"),
        (200, 9, (True, True), "tanh"),
        (200, 400, (True, False), "fourier"),
        (200, 400, (True, False), jnp.sin),
    ],
)
def test_every_route_is_the_ridge_regression(activation: Any, width: int, tests: int, route: tuple[bool, bool]) -> None:
    inputs, labels, test = problem(tests=tests)
    counts = [60, 33]
    chosen = cheapest(60, tests, 7, 6, width, 2)
    assert (chosen.dual, chosen.test_kernel) == route
    made, made_test = (features(KEY, rows, width, activation) for rows in (inputs, test))
    found = feature_predictions(KEY, inputs, labels, test, width=width, ridge=0.3, counts=counts, activation=activation)
    expected = jnp.stack([direct(made, labels, made_test, 0.3, n) for n in counts])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("route", "kept"), [((False, False), 0), ((True, True), 0), ((True, False), 0), ((True, False), 2**20)]
)
def test_routes_agree_with_each_other(route: tuple[bool, bool], kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", kept)
    inputs, labels, test = problem()
    expected = feature_predictions(KEY, inputs, labels, test, width=40, ridge=0.01)
    monkeypatch.setattr(module, "cheapest", lambda *_: module.Route(*route, 0.0, 0.0))
    found = feature_predictions(KEY, inputs, labels, test, width=40, ridge=0.01)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


def test_no_array_of_images_times_features_is_made() -> None:
    n, width = 3000, 80_000
    panels = [jax.ShapeDtypeStruct((stop - start, stop), jnp.float32) for start, stop in module._panels(n)]
    step = module._add_square.lower(panels, jax.ShapeDtypeStruct((n, module.BLOCK), jnp.float32)).compile()
    memory = step.memory_analysis()
    assert memory is not None
    # The kernel's panels, their products and one block of features: 99 MB, whatever the width. All features would be 960 MB.
    assert memory.argument_size_in_bytes + memory.temp_size_in_bytes < 4 * n * width / 8
    assert cheapest(n, 1000, 784, 550, width).entries < n * width / 4
    # A hundred thousand features of fifty thousand images: a 20 GB array in float32, were it made.
    assert cheapest(50_000, 10_000, 784, 10, 1000).entries < 5e7
    # Fewer are kept rather than made twice, up to half a gibibyte.
    assert module._kept(4000, 20_000)
    assert not module._kept(4000, 40_000)


def test_features_are_nested_in_width_and_have_the_stated_law() -> None:
    inputs = normalised(digits()).inputs[:40]
    wide = features(KEY, inputs, 2500, "relu")
    np.testing.assert_allclose(features(KEY, inputs, 1030, "relu"), wide[:, :1030], rtol=1e-11, atol=1e-13)
    hidden = features(KEY, inputs, 2500, lambda x: x)
    variance = (hidden**2).mean(1) / (inputs**2).mean(1)
    np.testing.assert_allclose(variance, 1, atol=6 * math.sqrt(2 / 2500))


@pytest.mark.parametrize("activation", ["relu", "erf", "tanh", "fourier", jnp.sin])
def test_kernel_is_the_mean_product_of_features(activation: Any) -> None:
    inputs = normalised(digits()).inputs
    inputs, others = inputs[:30] * jnp.linspace(0.5, 1.5, 30)[:, None], inputs[100:120]
    width = 60_000
    left, right = (features(KEY, rows, width, activation) for rows in (inputs, others))
    products = left @ right.T / width
    error = jnp.sqrt(jnp.maximum((left**2) @ (right**2).T / width - products**2, 0) / width)
    gaps = (products - kernel(inputs, others, activation)) / error
    # 600 correlated gaps of unit variance.
    assert float(jnp.abs(gaps).max()) < 5
    assert float((gaps**2).mean()) < 2.5


def test_hermite_series_meets_the_closed_forms() -> None:
    inputs = normalised(digits()).inputs[:25]
    series = kernel(inputs, activation=lambda x: jax.scipy.special.erf(x))
    np.testing.assert_allclose(series, kernel(inputs, activation="erf"), atol=1e-8)
    kinked = kernel(inputs, activation=lambda x: jnp.maximum(x, 0))
    np.testing.assert_allclose(kinked, kernel(inputs, activation="relu"), atol=2e-3)
    wave = kernel(inputs, activation=jnp.sin)
    squares = (inputs**2).mean(1)
    exact = jnp.exp(-(squares[:, None] + squares[None, :]) / 2) * jnp.sinh(inputs @ inputs.T / inputs.shape[1])
    np.testing.assert_allclose(wave, exact, atol=1e-9)


def test_labels_that_pass_together_are_those_that_pass_alone() -> None:
    inputs, labels, test = problem()
    together = feature_predictions(KEY, inputs, labels, test, width=300, ridge=0.1, counts=[20, 60])
    alone = feature_predictions(KEY, inputs[:20], labels[:20, 1, 2], test, width=300, ridge=0.1)
    np.testing.assert_allclose(together[0, :, 1, 2], alone[0], rtol=1e-9, atol=1e-12)


def test_what_the_device_cannot_hold_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, labels, test = problem()
    monkeypatch.setattr(module, "free_memory", lambda: 2e5)
    with pytest.raises(MemoryError, match=r"60 images and width 200 need about .* GiB left. \d+ images fit"):
        feature_predictions(KEY, inputs, labels, test, width=200, ridge=0.1)


def test_bad_input_is_named() -> None:
    inputs, labels, test = problem()
    good: dict[str, Any] = {"width": 20, "ridge": 0.1}
    with pytest.raises(ValueError, match="width is 0; it must be a whole number of at least 1"):
        feature_predictions(KEY, inputs, labels, test, width=0, ridge=0.1)
    with pytest.raises(ValueError, match=r"counts is \[61\]; it must hold numbers from 1 to 60"):
        feature_predictions(KEY, inputs, labels, test, counts=[61], **good)
    with pytest.raises(ValueError, match="ridge is 0; it must be finite and above 0"):
        feature_predictions(KEY, inputs, labels, test, width=20, ridge=0.0)
    with pytest.raises(ValueError, match="they must be"):
        feature_predictions(KEY, inputs, labels[:10], test, **good)
    with pytest.raises(
        ValueError, match=r"activation is 'cos'; it must be one of \['erf', 'relu', 'tanh', 'fourier'\]"
    ):
        feature_predictions(KEY, inputs, labels, test, activation="cos", **good)
    twice = jnp.concatenate([inputs, inputs]).astype(jnp.float32)
    with pytest.raises(ValueError, match=r"ridge is 1e-12, too small to factor 120 equations in float32.*float64"):
        feature_predictions(KEY, twice, jnp.ones(120, jnp.float32), test.astype(jnp.float32), width=900, ridge=1e-12)


# Theory of a pool -----------------------------------------------------------------------------------------------------


def infinite_pool(mixture: cj.Mixture, images: int) -> Pool:
    """A pool so large that drawing without replacement is drawing at random, with the mixture's directions and labels."""
    dim, spectrum = mixture.dim, mixture.spectra[0]
    rest = images - dim
    # Projections have the kernel x.x' / d; labels x.w have squared coefficients N s C along the eigenvectors.
    moments = mixture.label_moments * (images * spectrum)[None, None, :]
    return Pool(
        jnp.pad(images * spectrum / dim, (0, rest)),
        jnp.pad(moments, ((0, 0), (0, 0), (0, rest))),
        mixture.noise[1] ** 2,
    )


@pytest.mark.parametrize(
    ("width", "n", "ridge", "fraction"),
    [
        (40.0, 30.0, 1e-2, 0.3),
        (40.0, 3000.0, 0.1, 1.0),
        (300.0, 200.0, 1e-3, 0.3),
        (300.0, 30.0, 1e-2, 0.0),
        (None, 200.0, 1e-3, 1.0),
        (None, 3000.0, 0.1, 0.3),
    ],
)
def test_an_endless_pool_is_the_published_theory(width: float | None, n: float, ridge: float, fraction: float) -> None:
    spectrum = cj.spectra.power_law(60)
    truth = jax.random.normal(jax.random.key(0), (60,))
    teacher = 0.7 * truth + 0.4 * jax.random.normal(jax.random.key(1), (60,))
    labels = jnp.stack([truth, teacher])
    mixture = cj.Mixture(
        jnp.stack([spectrum, spectrum]), labels[:, None] * labels[None], jnp.array([0.0, 0.5]), shared_spectrum=True
    )
    expected = cj.theory.risk(mixture, cj.split(n, fraction), ridge, width)
    # Without projections the library's features are x themselves, whose kernel is not divided by d.
    own = ridge if width is not None else ridge / 60
    found = pool_risk(infinite_pool(mixture, 3_000_000), n, fraction, own, width)
    for part in ("bias", "variance", "collapse", "total"):
        assert float(getattr(found, part)) == pytest.approx(float(getattr(expected, part)), rel=3e-3, abs=1e-12), part


def drawn_risk(
    spectrum: np.ndarray, labels: np.ndarray, noise: float, n: int, fraction: float, ridge: float, width: int | None
) -> tuple[float, float]:
    """Mean and standard error of the squared error on what is left of a pool, over drawn parts, kernels and noises."""
    total, errors = spectrum.size, []
    generator = np.random.default_rng(0)
    for _ in range(60):
        basis = np.linalg.qr(generator.standard_normal((total, total)))[0]
        root = basis * np.sqrt(spectrum)
        if width is not None:
            root = root @ generator.standard_normal((total, width))
        matrix = root @ root.T
        true, teacher = basis @ labels[0], basis @ labels[1]
        taught = synthetic_rows(n, fraction)
        given = np.where(taught, teacher[:n] + noise * generator.standard_normal(n), true[:n])
        predicted = matrix[n:, :n] @ np.linalg.solve(matrix[:n, :n] + n * ridge * np.eye(n), given)
        errors.append(((predicted - true[n:]) ** 2).mean())
    return float(np.mean(errors)), float(np.std(errors) / math.sqrt(len(errors)))


@pytest.mark.parametrize(
    ("n", "fraction", "ridge", "width"),
    [
        (60, 0.5, 1e-2, None),
        (180, 0.25, 1e-1, None),
        (280, 1.0, 1e-3, None),
        (180, 0.5, 1.0, 60),
        (180, 0.5, 3.0, 500),
        (260, 1.0, 0.3, 240),
        (100, 0.0, 0.1, 150),
    ],
)
def test_theory_meets_drawn_parts_of_a_pool(n: int, fraction: float, ridge: float, width: int | None) -> None:
    total, generator = 300, np.random.default_rng(1)
    spectrum = 30 * np.arange(1, total + 1) ** -1.0
    labels = generator.standard_normal((2, total)) * np.arange(1, total + 1) ** -0.3
    moments = jnp.asarray(labels[:, None] * labels[None])
    expected = pool_risk(Pool(jnp.asarray(spectrum), moments, jnp.asarray(0.2**2)), n, fraction, ridge, width)
    mean, error = drawn_risk(spectrum, labels, 0.2, n, fraction, ridge, width)
    # The theory is exact as the pool grows; at 300 images it is off by some 2 / 300.
    assert abs(float(expected.total) - mean) < 4 * error + 0.015 * mean


def test_risk_is_differentiable_and_batches() -> None:
    inputs = normalised(digits()).inputs[:120]
    outputs = normalised(digits()).outputs[:120]
    pool = pool_of(inputs, outputs, 0.8 * outputs, 0.1)

    def total(n: Any, ridge: Any, width: Any) -> jax.Array:
        return pool_risk(pool, n, 0.3, ridge, width).total

    point = (50.0, 2.0, 70.0)
    slopes = jax.grad(total, (0, 1, 2))(*point)
    for i, (slope, value) in enumerate(zip(slopes, point, strict=True)):
        step = 1e-5 * value
        above, below = (total(*(*point[:i], value + side * step, *point[i + 1 :])) for side in (1, -1))
        assert float(slope) == pytest.approx(float(above - below) / (2 * step), rel=1e-5)
    many = jax.vmap(lambda n: total(n, 2.0, 70.0))(jnp.array([20.0, 50.0]))
    assert float(many[1]) == pytest.approx(float(total(*point)), rel=1e-12)
    for n, ridge, width, message in (
        (120, 1.0, 5.0, "n is 120; it must be above 0 and below the pool's 120 images"),
        (50, 0.0, 5.0, "ridge is 0"),
        (50, 1.0, 0.0, "width is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            total(n, ridge, width)
    assert math.isnan(jax.jit(total)(130.0, 1.0, 5.0))
    with pytest.raises(ValueError, match="they must be"):
        pool_of(inputs, outputs[:5])


def test_quality_is_the_teachers_error_in_any_basis() -> None:
    normal = normalised(digits())
    inputs, outputs = normal.inputs[:90], normal.outputs[:90]
    teacher = outputs + 0.3 * jax.random.normal(KEY, outputs.shape)
    found = pool_of(inputs, outputs, teacher, noise=0.1)
    assert float(found.quality) == pytest.approx(float(((teacher - outputs) ** 2).sum(1).mean()), rel=1e-10)
    assert float(found.noise) == pytest.approx(10 * 0.01)


@pytest.mark.parametrize(("activation", "width"), [("relu", 400), ("erf", 3000)])
def test_theory_predicts_random_features_on_digits(activation: str, width: int) -> None:
    seeds, counts, fractions = 4, [100, 400, 1200], [0.0, 0.5, 1.0]
    images = normalised(digits())
    weak = feature_predictions(
        KEY, images.inputs[:50], images.outputs[:50], images.inputs, width=300, ridge=3.0, activation="relu"
    )[0]
    pool = pool_of(images.inputs, images.outputs, weak, 0.1, activation)
    ridge = 0.002 * width
    errors = []
    for seed in range(seeds):
        order_key, noise_key, feature_key = jax.random.split(jax.random.key(seed), 3)
        order = jax.random.permutation(order_key, 1797)
        inputs, outputs = images.inputs[order], images.outputs[order]
        taught = weak[order] + 0.1 * jax.random.normal(noise_key, outputs.shape)
        masks = jnp.asarray(np.stack([synthetic_rows(1797, p) for p in fractions], 1))
        labels = jnp.where(masks[:, :, None], taught[:, None, :], outputs[:, None, :])
        found = feature_predictions(
            feature_key,
            inputs[: counts[-1]],
            labels[: counts[-1]],
            inputs[counts[-1] :],
            width=width,
            ridge=ridge,
            counts=counts,
            activation=activation,
        )
        errors.append(((found - outputs[counts[-1] :][None, :, None]) ** 2).sum(-1).mean(1))
    measured = jnp.stack(errors).mean(0)
    expected = [[float(pool_risk(pool, n, p, ridge, width).total) for p in fractions] for n in counts]
    np.testing.assert_allclose(measured, expected, rtol=0.08)


def test_splits_of_digits_serve_the_features() -> None:
    parts = splits(digits(), seed=0, validation=0, test=597)
    train = normalised(parts.train)
    test = normalised(parts.test, like=train)
    found = feature_predictions(KEY, train.inputs, train.outputs, test.inputs, width=2000, ridge=1.0)[0]
    wrong = (found + train.prior[None, :]).argmax(1) != test.labels
    # Linear regression misreads some 6 % of digits; random features 2 %.
    assert float(wrong.mean()) < 0.035
