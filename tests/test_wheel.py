"""The wheel holds the files of the tree: a forgotten sub-package would be missing in silence."""

from __future__ import annotations

import shutil
import subprocess
import sys

from release_check import ROOT, files_of_wheel, sources


def test_a_wheel_holds_the_files_of_the_tree_and_no_others(tmp_path):
    # From a copy, so that building leaves nothing in the tree.
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "docs", "runs")
    shutil.copytree(ROOT, copy, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    options = ["--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path), str(copy)]
    subprocess.run([*command, *options], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("jaxparl-*.whl")
    assert files_of_wheel(wheel) == sources()
