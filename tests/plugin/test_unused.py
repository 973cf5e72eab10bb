"""What the plugin costs a session that has no benchmark in it."""

from __future__ import annotations

import pytest

HEAVY = {
    "aiohttp",
    "datasets",
    "jinja2",
    "numpy",
    "orjson",
    "PIL",
    "scipy",
    "tenacity",
    "torch",
    "transformers",
    "yaml",
}


@pytest.mark.parametrize("args", [(), ("-n1",)], ids=["plain", "xdist"])
def test_an_unrelated_session_imports_nothing_heavy(
    pytester: pytest.Pytester, args: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest(
        f"""
        import sys

        def pytest_unconfigure(config):
            found = sorted({HEAVY!r} & set(sys.modules))
            print("heavy:", found, "ours:", "pytest_lmmeval.plugin" in sys.modules)
        """
    )
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest_subprocess(
        "-p", "pytest_lmmeval.plugin", "-p", "xdist", "-s", *args
    )
    result.stdout.fnmatch_lines(["*heavy: [[]] ours: True*"])
    assert result.ret == 0


def test_it_prints_and_creates_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert not [line for line in result.outlines if line.startswith("lmm")]
    pytesters_own = ("runpytest", "stdout", "stderr", "__pycache__")
    left = [p.name for p in pytester.path.iterdir() if not p.name.startswith(pytesters_own)]
    assert left == ["test_it_prints_and_creates_nothing.py"]
