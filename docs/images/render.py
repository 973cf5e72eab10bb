"""Renders a command's real terminal output as an SVG, as used in the README.

cd examples && python ../docs/images/render.py quickstart.svg -- pytest easy_vqa -p no:randomly
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 112
REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> None:
    """Run the command behind ``--`` with colours and write its output."""
    separator = sys.argv.index("--")
    target, command = Path(__file__).with_name(sys.argv[1]), sys.argv[separator + 1 :]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--color=yes"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": str(WIDTH)},
    )
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    shown = done.stdout.strip().replace(str(REPOSITORY), "~/pytest-lmmeval")
    console.print(Text.from_ansi(shown))
    svg = console.export_svg(title=" ".join(command).replace(" -p no:randomly", ""))
    # Pictures in a README may not load fonts from elsewhere.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    target.write_text(svg.replace("Fira Code", "DejaVu Sans Mono, Menlo"), encoding="utf-8")


if __name__ == "__main__":
    main()
