"""The table of ``docs/options.md``, made from the options themselves.

Run as a script, it writes the table into the document.
"""

from __future__ import annotations

from pathlib import Path

from pytest_lmmeval.config.option import Option
from pytest_lmmeval.config.options import OPTIONS
from pytest_lmmeval.config.run_config import RunConfig

DOCUMENT = Path(__file__).parent.parent / "docs" / "options.md"
BEGIN = "<!-- made by tests/option_table.py -->\n"
END = "<!-- end -->"


def option_table() -> str:
    """Return the table as Markdown: option, ini key, meaning, default."""
    lines = ["| option | ini key | meaning | default |", "|---|---|---|---|"]
    lines += [
        f"| `{_typed(option)}` | `{option.ini}` | {_cell(option.help)} | {_default(option)} |"
        for option in OPTIONS
    ]
    return "\n".join(lines) + "\n"


def _typed(option: Option) -> str:
    if option.metavar is None:
        return option.flag
    value = f"={option.metavar}"
    return option.flag + (f"[{value}]" if option.bare else value)


def _cell(text: str) -> str:
    return text.replace("%%", "%").replace("|", "\\|")


def _default(option: Option) -> str:
    value = getattr(RunConfig(), option.dest)
    if option.dest == "seed":
        return "`0,1234,1234,1234`"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value}`" if value else ""


def document() -> str:
    """Return the document with the table as it should be."""
    head, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{option_table()}\n{END}{tail}"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
