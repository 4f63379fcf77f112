"""The study of arithmetic: what verifiers let pass, what the rule of divisors says, what a kill loses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from killing import dies

from collapse_jax import __main__ as command_line
from collapse_jax import arithmetic_study as study
from collapse_jax import simulate
from collapse_jax.arithmetic_study import answers, results, selection, students
from collapse_jax.arithmetic_study.answers import Exam
from collapse_jax.arithmetic_study.study import Bench
from collapse_jax.data.arithmetic import Gcd, endless, exact, lessons
from collapse_jax.networks.gpt import GPT
from collapse_jax.networks.language import school
from collapse_jax.networks.lesson import surprises
from collapse_jax.parts import Parts

SMOKE = study.size("gcd", "smoke")._replace(seeds=1)
FILES = ("mixtures", "recovery", "generators", "predicted")


@pytest.fixture(scope="module")
def pool() -> dict[str, Any]:
    """A bench with candidates that are made by hand: one right in turn, none for every fifth question."""
    size = SMOKE._replace(rows=1000, drawn=4000, beams=(1, 4), noises=(0.0, 0.25, 1.0))
    bench = Bench(size, 0, answers.exam(size, 0), Parts(None, {}), print)
    asked, truth = bench.questions(0, size.rows)
    said = np.stack([size.task.say(truth % 7 + 50 + i) for i in range(4)], 1)  # wrong, all of them
    place = np.arange(1000) % 5
    for i in range(4):
        said[place == i, i] = size.task.say(truth[place == i])
    return {"bench": bench, "asked": asked, "truth": truth, "said": said}


def test_verifiers_let_pass_what_they_should(pool: dict[str, Any], monkeypatch: Any) -> None:
    bench, said = pool["bench"], pool["said"]
    monkeypatch.setattr(answers, "likeliest", lambda *_: said)
    monkeypatch.setattr(answers, "greedy", lambda *_: said[:, 0])
    monkeypatch.setattr(answers, "log_probability", lambda *_: np.tile([0.0, 1.0, 3.0, 2.0], (1000, 1)))

    def drawn(_: Any, __: Any, size: Any, asked: np.ndarray) -> np.ndarray:
        answer = bench.size.task.say(bench.questions(0, len(asked), which=6)[1])
        answer[::2] = bench.size.task.say(np.full(len(asked[::2]), 60))
        return answer

    monkeypatch.setattr(answers, "sampled", drawn)
    found = selection.selections(bench, 0, None, None)  # pyright: ignore[reportArgumentType]
    assert {name: round(one.kept, 2) for name, one in found.items() if "drawn" not in name} == {
        "unverified": 1.0, "exact data": 1.0, "greedy, exact": 0.2, "beam 4, self": 1.0, "beam 4, weak": 1.0,
        "beam 1, exact": 0.2, "beam 4, exact": 0.8,
    }  # fmt: skip
    for name in ("unverified", "beam 4, self", "beam 4, weak"):
        assert found[name].error == pytest.approx(0.8)
    np.testing.assert_array_equal(found["beam 4, weak"].said, said[:, 2])
    kept = np.flatnonzero(np.arange(1000) % 5 < 4)
    np.testing.assert_array_equal(found["beam 4, exact"].asked, pool["asked"][kept])
    np.testing.assert_array_equal(found["beam 4, exact"].said, bench.size.task.say(pool["truth"][kept]))
    # A noisy verifier: half of the answers are right, and wrong ones pass with p_noise.
    for noise in (0.0, 0.25, 1.0):
        one = found[f"drawn, {noise:g}"]
        assert one.kept == pytest.approx((1 + noise) / 2, abs=0.02)
        assert one.error == pytest.approx(noise / (1 + noise), abs=0.05)
        assert len(one.asked) == 1000


def test_the_rule_is_the_cheap_simulators(pool: dict[str, Any]) -> None:
    import jax

    learned = [1, 2, 3, 6, 4]
    drawn = simulate.divisors(jax.random.key(0), learned, 500, largest=30)
    divisors = np.arange(1, 31)
    rule = results.largest_learned(divisors, np.isin(divisors, learned))
    np.testing.assert_array_equal(rule[np.asarray(drawn.truth) - 1], drawn.answers)


def test_a_student_that_recovers_sees_exact_answers_in_its_second_half(pool: dict[str, Any]) -> None:
    bench = pool["bench"]
    first = lessons(bench.size.task, pool["asked"], pool["said"][:, 0])
    then = lessons(bench.size.task, pool["asked"], bench.size.task.say(pool["truth"]))
    student = bench.recovering(0, first, then)
    question = bench.size.task.question
    feed = student.batches(0)
    batches = [next(feed) for _ in range(bench.size.student.steps)]
    half = bench.size.student.steps // 2
    right = [
        (bench.size.task.read(one.tokens[:, question:]) == _truth(bench.size.task, one.tokens)).mean()
        for one in batches
    ]
    assert max(right[:half]) < 0.6
    assert min(right[half:]) == 1.0
    np.testing.assert_array_equal(next(student.batches(half + 3)).tokens, batches[half + 3].tokens)


def _truth(task: Gcd, tokens: np.ndarray) -> np.ndarray:
    numbers = tokens[:, : task.question].reshape(len(tokens), 2, -1)[..., 1:]
    return task.solve((numbers * task.base ** np.arange(task.digits)[::-1]).sum(-1))


def test_examinations_are_marked_by_the_truth(monkeypatch: Any) -> None:
    size = SMOKE
    given = answers.exam(size, 0)
    divisors = np.repeat(size.divisors, size.each)
    np.testing.assert_array_equal(given.truth[given.usual :], divisors)

    def answering(_: GPT, __: Any, asked: np.ndarray) -> np.ndarray:
        """2 wherever the truth is even, else 1."""
        return size.task.say(np.where(_truth(size.task, asked) % 2 == 0, 2, 1))

    monkeypatch.setattr(answers, "greedy", answering)
    found = answers.marks(None, size, given)  # pyright: ignore[reportArgumentType]
    assert dict(zip(size.divisors, found["each"].tolist(), strict=True)) == {1: 1, 2: 1, 3: 0, 4: 0, 8: 0}
    assert found["answers"].tolist() == [1, 2, 1, 2, 2]
    expected = np.isin(given.truth[: given.usual], [1, 2]).mean()
    assert found["accuracy"] == expected


def test_candidates_are_judged_by_the_model_that_wrote_them() -> None:
    from flax import nnx

    size = SMOKE._replace(together=16)
    model = GPT(size.shape, rngs=nnx.Rngs(0))
    asked, _ = Bench(size, 0, Exam(np.zeros(0), np.zeros(0), 0, 0), Parts(None, {}), print).questions(0, 20)
    said = answers.likeliest(model, size, asked, 4)
    assert said.shape == (20, 4, size.task.answer)
    logs = answers.log_probability(model, size, asked, said)
    assert (logs[:, :-1] >= logs[:, 1:] - 1e-4).all()  # beam search gave the likeliest first


def test_who_watches_a_training_sees_the_model_of_each_evaluation() -> None:
    import jax

    held_out = exact(SMOKE.task, SMOKE.task.draw(np.random.default_rng(1), 32))
    seen: dict[int, float] = {}

    def watch(step: int, model: GPT) -> None:
        counted = np.asarray(held_out.counted)
        given = jax.tree.map(jax.numpy.asarray, held_out)
        seen[step] = float(surprises(model, given).sum() / counted.sum())

    source = endless(SMOKE.task, 0, 32)
    found = school(jax.random.key(0), SMOKE.shape, source, held_out, SMOKE.generator, watch=watch)
    assert list(seen) == found.steps.tolist()
    np.testing.assert_allclose(list(seen.values()), found.held_out, rtol=1e-4)


def test_a_command_that_is_killed_goes_on_and_ends_the_same(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("collapse_jax.arithmetic_study.sizes.SIZES", {("gcd", "smoke"): SMOKE})
    arguments = ["arithmetic", "--preset", "smoke", "--seed", "3"]
    assert command_line.main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    shown = capsys.readouterr().out
    assert "Greatest common divisors, after 2,048 answers" in shown
    assert "Students of verified answers" in shown
    again = [*arguments, "--out", str(tmp_path / "killed")]

    monkeypatch.setattr("collapse_jax.networks.language.SAVE_SECONDS", 0.0)
    dies(again, monkeypatch, answers, "marks", 2)  # in the middle of the generator
    dies(again, monkeypatch, answers, "greedy", 4)
    dies(again, monkeypatch, students, "school", 2)
    dies(again, monkeypatch, answers, "sampled", 1)
    assert command_line.main(again) == 0
    assert "finished parts were found" in capsys.readouterr().err
    for name in (*(f"collapse_{file}" for file in FILES), "verification_selections", "verification_noises"):
        whole, resumed = (
            xr.open_dataset(tmp_path / folder / f"arithmetic_gcd_{name}.nc", engine="scipy")
            for folder in ("whole", "killed")
        )
        for variable in whole.data_vars:
            np.testing.assert_array_equal(whole[variable], resumed[variable])
        assert whole.attrs["command"].startswith("python -m collapse_jax arithmetic --preset smoke --seed 3")
    for picture in ("collapse", "verification"):
        assert (tmp_path / "killed" / f"arithmetic_gcd_{picture}.png").stat().st_size > 20_000
    assert not (tmp_path / "killed" / "unfinished").exists()


@pytest.mark.slow
def test_students_of_a_generator_never_learn_what_it_lacks() -> None:
    """At the laptop's size: exact answers teach whether 4 divides a number, the generator's never do."""
    size = study.size("gcd", "laptop")._replace(seeds=1, fractions=(0.0, 1.0))
    found = study.collapse(size, 0, Parts(None, {}))
    last = found.mixtures.isel(examples=-1, seed=0).sel(divisor=4)
    assert float(last.each.sel(synthetic_fraction=0.0)) > 0.9
    assert (found.mixtures.each.sel(synthetic_fraction=1.0, divisor=4) < 0.1).all()
    assert int(found.generators.answers.sel(divisor=4)) == int(found.generators.rule.sel(divisor=4)) == 2
    assert float(found.predicted.agreement.sel(synthetic_fraction=1.0)) > 0.9


def test_bad_input_is_named(tmp_path: Path, capsys: Any) -> None:
    for words, message in (
        (["--task", "sums"], "invalid choice: 'sums'"),
        (["--preset", "huge"], "invalid choice: 'huge'"),
    ):
        assert command_line.main(["arithmetic", *words, "--out", str(tmp_path)]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(ValueError, match="task is 'sums'; it must be one of gcd, eigenvalues"):
        study.size("sums", "smoke")
    with pytest.raises(ValueError, match="preset is 'huge'; it must be one of laptop, paper, smoke"):
        study.size("gcd", "huge")
    with pytest.raises(ValueError, match="skills are counted for greatest common divisors only"):
        study.collapse(study.size("eigenvalues", "smoke"), 0, Parts(None, {}))
    bench = Bench(SMOKE, 0, answers.exam(SMOKE, 0), Parts(None, {}), print)
    few = exact(SMOKE.task, np.array([[1, 1]]))
    with pytest.raises(ValueError, match="leaves 1 answers to learn from, fewer than a batch of 32"):
        bench.student("greedy, exact", 0, few)
