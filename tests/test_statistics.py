"""Means over runs, their intervals, and summaries."""

from __future__ import annotations

import numpy as np
import pytest

from jaxparl.experiment.results import StageResult, stage_timing
from jaxparl.experiment.statistics import (
    half_interval,
    interval,
    summarise,
    summary,
    summary_by_group,
)
from jaxparl.training.runs import grid


def test_the_interval_is_students_by_hand():
    # Mean 2, standard error 1 / sqrt(3), and t = 4.3027 for two degrees of freedom.
    values = np.array([1.0, 2.0, 3.0])
    low, high = interval(values)
    assert low == pytest.approx(2 - 4.302653 / np.sqrt(3), abs=1e-5)
    assert high == pytest.approx(2 + 4.302653 / np.sqrt(3), abs=1e-5)
    assert half_interval(values) == pytest.approx(4.302653 / np.sqrt(3), abs=1e-5)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(size=(4000, 5))
    covered = [low <= 0 <= high for low, high in map(interval, draws)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.012)


def test_one_run_has_no_interval():
    assert interval(np.array([1.0])) == (None, None)
    assert np.isnan(half_interval(np.array([1.0])))
    assert summarise(np.array([1.0])) == {
        "mean": 1.0,
        "ci_low": None,
        "ci_high": None,
        "per_run": [1.0],
    }


def test_what_is_not_a_number_is_left_out_of_the_mean():
    found = summarise(np.array([1.0, np.nan, 3.0]))
    assert found["mean"] == 2.0
    assert found["per_run"] == [1.0, None, 3.0]
    assert summarise(np.array([np.nan]))["mean"] is None


@pytest.fixture
def result() -> StageResult:
    """Two games of two seeds, evaluated four times."""
    curve = np.arange(16.0).reshape(4, 4)
    return StageResult(
        runs=grid([0, 1], [0, 1]),
        iterations=np.array([10, 20, 30, 40]),
        curves={"utility_ratio": curve, "agent_loss": -curve},
        timing=stage_timing(1.0, 2.0, 4.0, iterations=160.0),
        fingerprints=["a", "b", "c", "d"],
    )


def test_a_summary_has_the_last_evaluation_and_the_mean_of_the_last_quarter(result):
    found = summary(result)
    assert found["utility_ratio"]["per_run"] == [3.0, 7.0, 11.0, 15.0]
    # After more than 30 iterations there is one evaluation.
    assert found["utility_ratio_last_quarter"]["per_run"] == [3.0, 7.0, 11.0, 15.0]
    assert "agent_loss_last_quarter" not in found
    assert found["timing"]["iterations_per_second"] == 40.0
    assert found["fingerprints"] == ["a", "b", "c", "d"]
    longer = result._replace(iterations=np.array([25, 50, 80, 100]))
    assert summary(longer)["utility_ratio_last_quarter"]["per_run"] == [2.5, 6.5, 10.5, 14.5]


def test_a_summary_by_group_keeps_groups_apart(result):
    found = summary_by_group(result, ["selfish", "principal", "selfish", "principal"])
    assert found["selfish"]["utility_ratio"]["per_run"] == [3.0, 11.0]
    assert found["principal"]["utility_ratio"]["mean"] == 11.0
    assert found["fingerprints"] == ["a", "b", "c", "d"]
