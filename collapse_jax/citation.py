"""What to cite: the BibTeX of the results that were used."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Reference(NamedTuple):
    """A work, by the words that docstrings name it with, and its BibTeX."""

    named: str
    bibtex: str


LIBRARY = """@software{collapse_jax,
  title   = {collapse_jax: exact theory and exact simulation of learning from real and synthetic data},
  author  = {{The collapse_jax developers}},
  version = {VERSION},
  year    = {2026}
}"""


def _article(key: str, title: str, authors: str, year: int, where: str, arxiv: str = "") -> str:
    lines = [f"title  = {{{{{title}}}}}", f"author = {{{authors}}}", f"year   = {{{year}}}", f"note   = {{{where}}}"]
    if arxiv:
        lines += [f"eprint = {{{arxiv}}}", "archivePrefix = {arXiv}"]
    return f"@article{{{key},\n  " + ",\n  ".join(lines) + "\n}"


REFERENCES = {
    "strong": Reference(
        "Strong Model Collapse",
        _article(
            "dohmatob2025strong",
            "Strong Model Collapse",
            "Dohmatob, Elvis and Feng, Yunzhen and Subramonian, Arjun and Kempe, Julia",
            2025,
            "ICLR 2025",
            "2410.04840",
        ),
    ),
    "demystified": Reference(
        "Model Collapse Demystified",
        _article(
            "dohmatob2024demystified",
            "Model Collapse Demystified: The Case of Regression",
            "Dohmatob, Elvis and Feng, Yunzhen and Kempe, Julia",
            2024,
            "NeurIPS 2024",
            "2402.07712",
        ),
    ),
    "tails": Reference(
        "A Tale of Tails",
        _article(
            "dohmatob2024tails",
            "A Tale of Tails: Model Collapse as a Change of Scaling Laws",
            "Dohmatob, Elvis and Feng, Yunzhen and Yang, Pu and Charton, Fran{\\c c}ois and Kempe, Julia",
            2024,
            "ICML 2024",
            "2402.07043",
        ),
    ),
    "verification": Reference(
        "Beyond Model Collapse",
        _article(
            "feng2025beyond",
            "Beyond Model Collapse: Scaling Up with Synthesized Data Requires Verification",
            "Feng, Yunzhen and Dohmatob, Elvis and Yang, Pu and Charton, Fran{\\c c}ois and Kempe, Julia",
            2025,
            "ICLR 2025",
            "2406.07515",
        ),
    ),
    "mixing": Reference(
        "2502.18049",
        _article(
            "he2025golden",
            "Golden Ratio Weighting Prevents Model Collapse",
            "He, Hengzhi and Xu, Shirong and Cheng, Guang",
            2025,
            "preprint",
            "2502.18049",
        ),
    ),
    "shumailov": Reference(
        "2305.17493",
        _article(
            "shumailov2023curse",
            "The Curse of Recursion: Training on Generated Data Makes Models Forget",
            "Shumailov, Ilia and Shumaylov, Zakhar and Zhao, Yiren and Gal, Yarin and Papernot, Nicolas and Anderson, Ross",
            2023,
            "preprint",
            "2305.17493",
        ),
    ),
    "kazdan": Reference(
        "2410.16713",
        _article(
            "kazdan2024collapse",
            "Collapse or Thrive? Perils and Promises of Synthetic Data in a Self-Generating World",
            "Kazdan, Joshua and Schaeffer, Rylan and Dey, Apratim and Gerstgrasser, Matthias and Rafailov, Rafael and "
            "Donoho, David L. and Koyejo, Sanmi",
            2024,
            "preprint",
            "2410.16713",
        ),
    ),
    "hoffmann": Reference(
        "Training compute-optimal large language models",
        _article(
            "hoffmann2022training",
            "Training Compute-Optimal Large Language Models",
            "Hoffmann, Jordan and Borgeaud, Sebastian and Mensch, Arthur and others",
            2022,
            "NeurIPS 2022",
            "2203.15556",
        ),
    ),
    "radford": Reference(
        "Radford et al",
        _article(
            "radford2019language",
            "Language Models are Unsupervised Multitask Learners",
            "Radford, Alec and Wu, Jeffrey and Child, Rewon and Luan, David and Amodei, Dario and Sutskever, Ilya",
            2019,
            "OpenAI technical report",
        ),
    ),
    "charton_gcd": Reference(
        "Learning the greatest common divisor",
        _article(
            "charton2024learning",
            "Learning the greatest common divisor: explaining transformer predictions",
            "Charton, Fran{\\c c}ois",
            2024,
            "ICLR 2024",
            "2308.15594",
        ),
    ),
    "charton_linear": Reference(
        "Linear algebra with transformers",
        _article(
            "charton2022linear",
            "Linear algebra with transformers",
            "Charton, Fran{\\c c}ois",
            2022,
            "Transactions on Machine Learning Research",
            "2112.01898",
        ),
    ),
    "holtzman": Reference(
        "curious case of neural text degeneration",
        _article(
            "holtzman2020curious",
            "The Curious Case of Neural Text Degeneration",
            "Holtzman, Ari and Buys, Jan and Du, Li and Forbes, Maxwell and Choi, Yejin",
            2020,
            "ICLR 2020",
            "1904.09751",
        ),
    ),
    "mnist": Reference(
        "MNIST database",
        _article(
            "lecun1998mnist",
            "The MNIST database of handwritten digits",
            "LeCun, Yann and Cortes, Corinna and Burges, Christopher J. C.",
            1998,
            "data set, CC BY-SA 3.0",
        ),
    ),
    "aqsoldb": Reference(
        "AqSolDB",
        _article(
            "sorkun2019aqsoldb",
            "AqSolDB, a curated reference set of aqueous solubility and 2D descriptors for a diverse set of compounds",
            'Sorkun, Murat Cihan and Khetan, Abhishek and Er, S{\\"u}leyman',
            2019,
            "Scientific Data 6, 143",
        ),
    ),
}
PAPERS = ("strong", "demystified", "tails", "verification")


def citation(*used: Callable[..., Any] | str) -> None:
    """Print the BibTeX of the library and of the works whose results were used.

    Args:
        used: functions of the library, such as ``cj.theory.risk``, or names of published figures, such as "strong-3";
            nothing for the four papers that the library is about. A function's works are those of the "Source" in its
            docstring; a simulation shares those of its theory.

    Raises:
        ValueError: for something that is neither.

    Example:
        >>> import collapse_jax as cj
        >>> cj.citation(cj.simulate.tail_error, "verification-6")
        @software{collapse_jax,
          title   = {collapse_jax: exact theory and exact simulation of learning from real and synthetic data},
          ...
        }
        <BLANKLINE>
        @article{dohmatob2024tails,
          title  = {{A Tale of Tails: Model Collapse as a Change of Scaling Laws}},
          ...
        }
        <BLANKLINE>
        @article{feng2025beyond,
          title  = {{Beyond Model Collapse: Scaling Up with Synthesized Data Requires Verification}},
          ...
        }
    """
    from collapse_jax import __version__

    keys = [key for one in used for key in works(one)] if used else PAPERS
    entries = [LIBRARY.replace("VERSION", __version__), *(REFERENCES[key].bibtex for key in dict.fromkeys(keys))]
    print("\n\n".join(entries))


def works(used: Callable[..., Any] | str) -> list[str]:
    """Keys of :data:`REFERENCES` for a function or the name of a figure.

    Example:
        >>> works("strong-3")
        ['strong']
    """
    if isinstance(used, str):
        from collapse_jax.figures import FIGURES

        if used not in FIGURES:
            raise ValueError(f"used has {used!r}; it must be a function of collapse_jax or one of {', '.join(FIGURES)}")
        return [used.split("-")[0]]
    if not str(getattr(used, "__module__", "")).startswith("collapse_jax"):
        raise ValueError(f"used has {used!r}; it must be a function of collapse_jax or the name of a published figure")
    sources = " ".join(_sources(used))
    return [key for key, reference in REFERENCES.items() if reference.named in sources]


def _sources(used: Callable[..., Any]) -> Iterator[str]:
    """Paragraphs that begin with "Source:", of a function and, for a simulation, of the theory of the same name."""
    from collapse_jax import simulate, theory

    name = getattr(used, "__name__", "")
    both = [used, getattr(theory, name, None)] if getattr(simulate, name, None) is used else [used]
    for function in both:
        for paragraph in re.findall(r"Source: (.*?)(?:\n\n|\Z)", inspect.getdoc(function) or "", re.S):
            yield " ".join(paragraph.split())
