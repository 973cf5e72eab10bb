"""From a package that an import statement names to the command that installs it."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable

# Packages that are not called what they are imported as. The longest match counts.
_DISTRIBUTIONS = {
    "Bio": "biopython",
    "FlagEmbedding": "FlagEmbedding",
    "MeCab": "mecab-python3",
    "PIL": "pillow",
    "antlr4": "antlr4-python3-runtime==4.11.0",  # SymPy takes no other version
    "antlr4-python3-runtime": "antlr4-python3-runtime==4.11.0",
    "azure.ai.ml": "azure-ai-ml",
    "azure.core": "azure-core",
    "azure.identity": "azure-identity",
    "bert_score": "bert-score",
    "bleurt": "git+https://github.com/google-research/bleurt.git",
    "bleurt_pytorch": "git+https://github.com/lucadiliello/bleurt-pytorch.git",
    "bs4": "beautifulsoup4",
    "capture_metric": "capture-metric",
    "charset_normalizer": "charset-normalizer",
    "clip": "git+https://github.com/openai/CLIP.git",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "factscore": "git+https://github.com/wj210/factscore.git",
    "faiss": "faiss-cpu",
    "fitz": "PyMuPDF",
    "google.genai": "google-genai",
    "google.generativeai": "google-generativeai",
    "jose": "python-jose",
    "kstar_planner": "kstar-planner",
    "latex2sympy2": "latex2sympy2",
    "latex2sympy2_extended": "latex2sympy2-extended",
    "lm_eval": "--no-deps lm-eval",
    "lmms_eval": "--no-deps lmms-eval",
    "math_verify": "math-verify antlr4-python3-runtime==4.11.0",
    "more_itertools": "more-itertools",
    "open_clip": "open-clip-torch",
    "pythainlp": "pythainlp",
    "qwen_vl_utils": "qwen-vl-utils",
    "rouge_score": "rouge-score",
    "ruamel": "ruamel.yaml",
    "sentence_transformers": "sentence-transformers",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "tarski": "'tarski[clingo]'",
    "tinyBenchmarks": "git+https://github.com/felipemaiapolo/tinyBenchmarks",
    "umap": "umap-learn",
    "whisper_normalizer": "whisper-normalizer",
    "yaml": "PyYAML",
    "yt_dlp": "yt-dlp",
}
# What SymPy says where its optional parser is not there in the one version; it names no module.
_SAID = {"LaTeX parsing requires the antlr4 Python package": "antlr4"}


def is_installed(name: str) -> bool:
    """Return whether the package that a dotted name begins with is there; imports nothing."""
    root, _, rest = name.partition(".")
    if root in sys.stdlib_module_names:
        return True
    try:
        spec = importlib.util.find_spec(root)
        if spec is not None and spec.origin is None and rest:
            # Several distributions share a namespace, such as google or azure.
            return importlib.util.find_spec(f"{root}.{rest.partition('.')[0]}") is not None
    except ValueError:  # It was imported already, by something that gives modules no spec.
        return True
    return spec is not None


def distribution(name: str) -> str:
    """Return what ``pip install`` calls the package that holds a module."""
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((_DISTRIBUTIONS[p] for p in prefixes if p in _DISTRIBUTIONS), parts[0])


def how_to_install(names: Iterable[str]) -> str:
    """Return which packages are not installed, and the command that installs all of them.

    Args:
        names: Dotted names of modules.
    """
    # One package may hold several of the modules.
    wanted = {distribution(name): name.partition(".")[0] for name in names}
    roots = list(dict.fromkeys(wanted.values()))
    verb = "is" if len(roots) == 1 else "are"
    return f"{' and '.join(roots)} {verb} not installed; pip install {' '.join(wanted)}"


def missing_module(error: BaseException | None) -> str | None:
    """Return the module of a package that is not installed, if that is behind an error.

    Tasks catch an ``ImportError`` to raise another with a text of their own, so causes count too.
    """
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and _is_missing(error.name):
            return error.name
        if isinstance(error, ImportError):
            for text, name in _SAID.items():
                if text in str(error):
                    return name
        error = error.__cause__ or error.__context__
    return None


def _is_missing(name: str | None) -> bool:
    # Some are raised by tasks with a sentence in place of a name.
    if name is None or not re.fullmatch(r"[\w.-]+", name):
        return False
    # A peer that is there may still lack a module; installing it again does not help.
    of_peer = name.startswith(("lm_eval.", "lmms_eval."))
    return not of_peer and not is_installed(name)
