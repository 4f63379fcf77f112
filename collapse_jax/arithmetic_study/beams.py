"""What a generator's candidates are worth: how often one of them is right, and how often the generator picks a right one."""

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from collapse_jax.arithmetic_study import answers, results
from collapse_jax.arithmetic_study.sizes import Size
from collapse_jax.arithmetic_study.study import Bench, generators
from collapse_jax.parts import Parts
from collapse_jax.threads import in_threads

BEAMS = (1, 5, 10, 25, 35, 50)  # of Table 1; one beam is greedy


def candidates(
    size: Size,
    seed: int,
    parts: Parts,
    announce: Callable[[str], object] = print,
    *,
    beams: Sequence[int] = BEAMS,
) -> xr.Dataset:
    """Right answers by the number of beams and by who picks one of the candidates.

    Args:
        size: of the study; its generators are those of :func:`collapse_jax.arithmetic_study.verification`.
        seed: as there.
        parts: as there.
        announce: as there.
        beams: numbers of candidates.

    Returns:
        ``accuracy`` over (verifier, beams, seed): share of the usual questions with a right answer, picked by an "oracle",
        which finds a right candidate where there is one, or by the generator "itself": its likeliest.

    Source: *Beyond Model Collapse*, Table 1.

    Example:
        >>> from collapse_jax.arithmetic_study import size
        >>> small = size("eigenvalues", "smoke")._replace(seeds=1)
        >>> found = candidates(small, 0, Parts(None, {}), lambda _: None, beams=(1, 3)).accuracy.isel(seed=0)
        >>> bool(found.sel(verifier="oracle", beams=1) == found.sel(verifier="itself", beams=1))
        True
    """
    bench = Bench(size, seed, answers.exam(size, seed), parts, announce)
    models, task = generators(bench).models, size.task
    asked, truth = (part[: size.examined] for part in (bench.exam.asked, bench.exam.truth))

    def worth(job: tuple[int, int], _: object) -> np.ndarray:
        """Shares right of one chain at one number of beams: by the oracle, by itself."""
        said = answers.likeliest(models[job[0]], size, asked, job[1])
        right = np.stack([task.right(task.read(said[:, i]), truth) for i in range(job[1])], 1)
        return np.asarray([right.any(1).mean(), right[:, 0].mean()])

    jobs = [(chain, count) for chain in range(size.seeds) for count in beams]
    found = dict(in_threads(jobs, worth))
    shares = np.stack([np.stack([found[chain, count] for count in beams], 1) for chain in range(size.seeds)], -1)
    axes = {"verifier": ["oracle", "itself"], "beams": list(beams), "seed": np.arange(size.seeds)}
    return results.labelled(size, {"accuracy": (tuple(axes), shares)}, axes)
