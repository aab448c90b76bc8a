"""The README's example runs as it stands, and prints what it says."""

from __future__ import annotations

import re

import numpy as np
from release_check import ROOT, readme_example

README = (ROOT / "README.md").read_text()
MOST_WORDS, MOST_LINES = 600, 8


def test_the_python_example_runs_and_prints_what_it_says(capsys):
    example, told = readme_example()
    names: dict = {}
    exec(example, names)
    assert capsys.readouterr().out == f"{told}\n"
    # Every seed has learned what the README says.
    share = float(re.findall(r"end at about (0\.\d+)", README)[0])
    np.testing.assert_allclose(names["result"].metrics.utility_ratio[:, -1], share, atol=0.01)


def test_the_first_screen_stays_one():
    example, _ = readme_example()
    assert len([line for line in example.splitlines() if line]) <= MOST_LINES
    assert len(README.split()) <= MOST_WORDS
