"""The README's examples run as they stand, and print what they say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from small import unoptimised

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
# `print(...)  # VALUE: what it is`, where a value is a number or an array of them.
TOLD = re.compile(r"^print\(.*\)  # (\[[-\d. ]+\]|-?[\d.]+)(?::|$)", re.MULTILINE)


def test_the_python_examples_run_and_print_what_they_say(capsys):
    examples = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict = {}
    with unoptimised():
        for example in examples:
            exec(example, names)
    printed = capsys.readouterr().out
    told = [value for example in examples for value in TOLD.findall(example)]
    assert told
    for value in told:
        assert f"\n{value}\n" in f"\n{printed}"
    # Every seed has learned what the README says.
    share = float(re.findall(r"end at about (0\.\d+)", README)[0])
    np.testing.assert_allclose(names["result"].metrics.utility_ratio[:, -1], share, atol=0.01)
    np.testing.assert_allclose(names["contract"].expected_payment, 0.9, rtol=1e-6)
    assert names["equilibrium"].principal_value[0, 0] > 0


def test_every_file_that_is_linked_exists():
    for document in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
