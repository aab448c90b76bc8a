"""What the figure shows."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from jaxparl import plotting
from jaxparl.sweep import grid


def test_every_game_has_a_curve_a_band_and_its_exact_optimum(tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(plt, "close", closed.append)
    runs = grid([0, 1, 2], [0, 1])
    curve = np.linspace(0, 1, 6 * 4).reshape(6, 4)
    curves = {
        "principal_utility": curve,
        "equilibrium_principal_utility": np.repeat([[2.0], [3.0], [4.0]], 2, axis=0) + 0 * curve,
        "recommendation_accuracy": curve,
    }
    path = tmp_path / "figure.png"
    groups = [f"tree {run.game}" for run in runs]
    plotting.learning_curves(path, groups, np.array([1, 2, 3, 4]), curves)
    assert path.read_bytes().startswith(b"\x89PNG")
    utility, accuracy = closed[0].axes
    dashed = [
        line for line in utility.lines if line.get_linestyle() == "--" and len(line.get_xdata())
    ]
    assert [line.get_ydata()[0] for line in dashed] == [2.0, 3.0, 4.0]
    solid = [line for line in utility.lines if line.get_linestyle() == "-"]
    np.testing.assert_allclose(solid[1].get_ydata(), curve[2:4].mean(axis=0))
    assert len({line.get_color() for line in solid}) == 3
    assert len(utility.collections) == 3
    dashed = [line for line in accuracy.lines if line.get_linestyle() == "--"]
    assert [len(line.get_xdata()) for line in dashed] == [0]  # the legend's
    labels = [text.get_text() for text in accuracy.get_legend().get_texts()]
    assert labels == ["tree 0", "tree 1", "tree 2", "exact"]
