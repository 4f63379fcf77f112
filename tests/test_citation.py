"""What to cite: every figure and every paper that a docstring names has an entry."""

import re
from pathlib import Path

import pytest

import collapse_jax as cj
from collapse_jax.citation import PAPERS, REFERENCES, works
from collapse_jax.figures import FIGURES


@pytest.mark.parametrize("name", FIGURES)
def test_figures_have_a_work(name: str) -> None:
    assert set(works(name)) <= set(REFERENCES)


def test_entries_are_bibtex(capsys: pytest.CaptureFixture[str]) -> None:
    cj.citation()
    printed = capsys.readouterr().out
    assert printed.count("\n@") == len(PAPERS)
    assert cj.__version__ in printed
    for entry in [reference.bibtex for reference in REFERENCES.values()]:
        assert entry.count("{") == entry.count("}")
        assert re.match(r"@article\{\w+,\n", entry)
    keys = [reference.bibtex.split(",")[0] for reference in REFERENCES.values()]
    assert len(set(keys)) == len(keys)


def test_titles_of_papers_in_sources_are_known() -> None:
    named = set()
    for file in Path(cj.__file__).parent.rglob("*.py"):
        for source in re.findall(r"Source: (.*?)(?:\n\n|\"\"\")", file.read_text(), re.S):
            named |= {key for key, reference in REFERENCES.items() if reference.named in " ".join(source.split())}
    assert named == set(REFERENCES), "an entry that no docstring names"


def test_a_work_is_named_once_in_the_order_of_use(capsys: pytest.CaptureFixture[str]) -> None:
    cj.citation("tails-3", cj.theory.risk, cj.theory.tail_error, "strong-1")
    keys = re.findall(r"@article\{(\w+)", capsys.readouterr().out)
    assert keys == ["dohmatob2024tails", "dohmatob2025strong"]


@pytest.mark.parametrize("wrong", ["strong-77", len, 3])
def test_what_is_no_result_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"used has .*; it must be a function of collapse_jax"):
        cj.citation(wrong)  # pyright: ignore[reportArgumentType]


def test_citation_file_has_the_four_papers() -> None:
    file = Path(__file__).parents[1] / "CITATION.cff"
    assert all(REFERENCES[key].named in file.read_text() for key in PAPERS)
