"""The README's examples run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_python_examples_run_and_print_what_they_say(capsys):
    examples = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(examples) == 2
    names: dict = {}
    for example in examples:
        exec(example, names)
    assert names["result"].metrics.utility_ratio.shape[0] == 4
    assert capsys.readouterr().out.endswith("[1. 0.]\n")
    np.testing.assert_allclose(names["contract"].expected_payment, 0.9, rtol=1e-6)


def test_every_file_that_is_linked_exists():
    root = Path(__file__).parents[1]
    for document in (root / "README.md", *sorted((root / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
