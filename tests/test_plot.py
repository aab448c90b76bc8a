"""`jaxparl.plot`: one figure, of folders and of results in memory."""

from __future__ import annotations

import dataclasses
import importlib.util

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from test_summaries import EVALUATIONS, metrics

import jaxparl
from jaxparl.training import TrainResult, ValidationResult
from jaxparl.validation.metrics import ValidationMetrics

THICK, EXACT = 1.6, 1.0


def curves(figure: Figure, width: float, panel: int = 0):
    return [line for line in figure.axes[panel].lines if line.get_linewidth() == width]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_result_is_drawn_beside_what_is_exact_over_its_iterations():
    exact = jnp.full((3, EVALUATIONS), 2.5)
    found = dataclasses.replace(metrics(), equilibrium_principal_utility=exact)
    figure = jaxparl.plot(TrainResult(None, found, 100))
    assert isinstance(figure, Figure)
    assert [axis.get_title(loc="left") for axis in figure.axes] == [
        "Principal's utility",
        "Right recommendations",
    ]
    (mean,) = curves(figure, THICK)
    np.testing.assert_array_equal(mean.get_xdata(), 100 * np.arange(1, EVALUATIONS + 1))
    np.testing.assert_allclose(mean.get_ydata()[-1], 2.0)
    assert [line.get_ydata()[0] for line in curves(figure, EXACT)] == [2.5]
    assert legend(figure) == ["learned (3 seeds)", "exact"]


def test_results_by_name_are_compared_in_the_same_panels():
    results = {f"nudge {xi}": TrainResult(None, metrics(), 10) for xi in (0.0, 0.1, 0.2)}
    figure = jaxparl.plot(results)
    assert len(curves(figure, THICK)) == 3
    assert len({line.get_color() for line in curves(figure, THICK)}) == 3
    assert legend(figure) == [*(f"{name} (3 seeds)" for name in results), "exact"]


def test_one_run_and_a_result_of_validation_are_drawn_too():
    alone = TrainResult(None, metrics(shape=(EVALUATIONS,)), 10)
    assert legend(jaxparl.plot(alone)) == ["learned (1 seed)", "exact"]
    validated = jaxparl.plot(ValidationResult(None, metrics(ValidationMetrics), 10))
    assert "Recommendations followed" in {axis.get_title(loc="left") for axis in validated.axes}


def test_a_figure_is_a_picture_in_a_notebook_and_pyplot_does_not_know_it():
    figure = jaxparl.plot(TrainResult(None, metrics(), 100))
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("results", "error", "message"),
    [
        ({}, ValueError, "there is nothing to plot"),
        (3, TypeError, "plot takes the folder of a run, a TrainResult or .*, not int"),
        ("/nowhere", FileNotFoundError, "no run in /nowhere"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(results, error, message):
    with pytest.raises(error, match=message) as raised:
        jaxparl.plot(results)
    assert "\n" not in str(raised.value)


def test_without_matplotlib_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"plots need matplotlib: pip install 'jaxparl\[plot\]'"):
        jaxparl.plot(TrainResult(None, metrics(), 100))
