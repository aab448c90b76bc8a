"""Groups of runs, means over their seeds, intervals, and summaries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from small import COIN_ENV

from jaxparl.config import Config
from jaxparl.experiment.results import StageResult, diverged, stage_timing
from jaxparl.experiment.statistics import estimate, group_runs, half_interval, summary
from jaxparl.training.comparison import validation_runs
from jaxparl.training.runs import RunId, grid

NOBODY = np.zeros(100, bool)


def test_runs_that_differ_only_by_their_seeds_are_a_group():
    runs = grid([0, 3], [5, 6], {"nudge": [0.0, 0.5], "alpha": [1.0]})
    groups = group_runs(runs, NOBODY[:8], "tree")
    assert [group.name for group in groups] == [
        "tree 0, nudge 0.0", "tree 0, nudge 0.5", "tree 3, nudge 0.0", "tree 3, nudge 0.5",
    ]  # fmt: skip
    assert groups[1].labels == {"game": 0, "nudge": 0.5, "alpha": 1.0}
    assert [group.rows.tolist() for group in groups] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert groups[3].seeds == [5, 6]


def test_schemes_games_and_settings_are_never_mixed_in_validation():
    runs = validation_runs(Config(), COIN_ENV, grid([0, 1], [0, 1]))
    groups = group_runs(runs, NOBODY[: len(runs)], "board")
    assert len(groups) == 6 * 2
    assert groups[0].name == "principal, board 0"
    assert all(len({runs[row].scheme for row in group.rows}) == 1 for group in groups)
    alone = validation_runs(Config(), COIN_ENV, grid([0], [0, 1]))
    assert group_runs(alone, NOBODY[: len(alone)])[0].name == "principal"


def test_the_centre_of_few_runs_is_their_mean_and_of_five_the_interquartile_mean():
    values = np.array([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0], [9.0, 5.0]])
    found = estimate(values)
    assert found.num_runs.tolist() == [4, 4]
    assert found.centre.tolist() == [4.0, 5.0]
    assert (found.low.tolist(), found.high.tolist()) == ([1.0, 5.0], [9.0, 5.0])
    # Of five, one at either end is left out: the mean of 2, 4 and 6.
    found = estimate(np.array([[1.0], [2.0], [4.0], [6.0], [900.0]]))
    assert found.centre.tolist() == [4.0]


@settings(deadline=None, max_examples=25)
@given(
    npst.arrays(float, st.tuples(st.integers(1, 9), st.integers(1, 3)), elements=st.floats(-9, 9))
)
def test_an_interval_never_leaves_the_range_of_the_runs(values):
    found = estimate(values)
    slack = 1e-12
    assert (values.min(axis=0) - slack <= found.low).all()
    assert (found.low <= found.centre + slack).all()
    assert (found.centre <= found.high + slack).all()
    assert (found.high <= values.max(axis=0) + slack).all()


def test_the_interval_covers_the_centre_nearly_as_often_as_it_says():
    # A percentile bootstrap of ten is known to be a little too narrow.
    draws = np.random.default_rng(0).normal(size=(10, 2000))
    found = estimate(draws)
    assert 0.87 < np.mean((found.low <= 0) & (found.high >= 0)) < 0.95


def test_where_a_metric_is_undefined_a_run_does_not_count():
    values = np.array([[1.0, np.nan, np.nan], [3.0, 4.0, np.nan]])
    found = estimate(values)
    assert found.num_runs.tolist() == [2, 1, 0]
    np.testing.assert_array_equal(found.centre, [2.0, 4.0, np.nan])
    nobody = estimate(np.empty((0, 2)))
    assert nobody.num_runs.tolist() == [0, 0]
    assert np.isnan(nobody.centre).all()


def result_of(runs, curves) -> StageResult:
    return StageResult(
        runs=runs,
        iterations=np.array([10, 20, 30, 40]),
        curves=curves,
        timing=stage_timing(1.0, 2.0, 4.0, iterations=160.0),
        fingerprints=[f"digest {number}" for number in range(len(runs))],
    )


def test_a_summary_keeps_settings_apart_and_counts_its_runs():
    runs = grid([0], [0, 1], {"nudge": [0.0, 0.5]})
    paid = np.repeat([[0.25], [0.75], [9.0], [10.0]], 4, axis=1)
    paid[3, 2:] = np.nan
    loss = np.where(np.isnan(paid), np.nan, 1.0)
    result = result_of(runs, {"payment_share": paid, "agent_loss": loss})
    found = summary(result, group_runs(runs, diverged(result.curves), "tree"))
    assert "payment_share" not in found, "no number stands for several groups"
    first, second = found["groups"]
    assert first["labels"] == {"game": 0, "nudge": 0.0}
    assert first["metrics"]["payment_share"] == {
        "count": 2, "mean": 0.5, "iqm": None, "ci_low": None, "ci_high": None,
        "per_run": {"0": 0.25, "1": 0.75},
    }  # fmt: skip
    assert second["diverged"] == [1]
    assert second["metrics"]["payment_share"]["count"] == 1
    assert second["metrics"]["payment_share"]["mean"] == 9.0
    assert second["metrics"]["payment_share"]["per_run"] == {"0": 9.0, "1": None}
    assert [run["diverged"] for run in found["runs"]] == [False, False, False, True]
    assert found["runs"][2]["labels"] == {"game": 0, "seed": 0, "nudge": 0.5}
    assert found["runs"][2]["fingerprint"] == "digest 2"
    assert found["timing"]["iterations_per_second"] == 40.0


def test_runs_that_diverged_before_are_counted_as_lost():
    runs = validation_runs(Config(), COIN_ENV, grid([0], [1, 2]))
    curves = {"welfare": np.ones((12, 4)), "agent_loss": np.ones((12, 4))}
    groups = group_runs(runs, NOBODY[:12], lost=[RunId(0, 0), RunId(5, 0)])
    assert {group.size for group in groups} == {"2 of 3 seeds"}
    found = summary(result_of(runs, curves), groups)["groups"][0]
    assert (found["seeds"], found["diverged"]) == ([0, 1, 2], [0])
    assert found["metrics"]["welfare"]["count"] == 2
    assert found["metrics"]["welfare"]["per_run"]["0"] is None


def test_an_estimate_has_the_standard_errors_of_its_runs_beside_it():
    runs = grid([0], [0, 1, 2])
    curves = {
        "welfare": np.repeat([[1.0], [2.0], [5.0]], 4, axis=1),
        "welfare_se": np.repeat([[0.1], [0.2], [0.3]], 4, axis=1),
        "agent_loss": np.repeat([[1.0], [1.0], [np.nan]], 4, axis=1),
    }
    result = result_of(runs, curves)
    groups = group_runs(runs, diverged(curves), lost=[RunId(0, 7)])
    (group,) = summary(result, groups)["groups"]
    welfare = group["metrics"]["welfare"]
    assert welfare["per_run_se"] == {"0": 0.1, "1": 0.2, "2": None, "7": None}
    assert "welfare_se" not in group["metrics"]
    assert "per_run_se" not in group["metrics"]["agent_loss"]


def test_half_an_interval_is_of_the_mean_of_those_runs_that_have_an_estimate():
    errors = np.array([[3.0, 3.0, np.nan], [4.0, np.nan, np.nan]])
    np.testing.assert_allclose(half_interval(errors), [1.96 * 2.5, 1.96 * 3, np.nan])


def test_a_summary_has_the_last_evaluation_and_the_mean_of_the_last_quarter():
    runs = grid([0], [0, 1])
    result = result_of(
        runs, {"utility_ratio": np.arange(8.0).reshape(2, 4), "agent_loss": np.ones((2, 4))}
    )
    groups = group_runs(runs, NOBODY[:2])
    (group,) = summary(result, groups)["groups"]
    assert group["metrics"]["utility_ratio"]["per_run"] == {"0": 3.0, "1": 7.0}
    # After more than 30 iterations there is one evaluation.
    assert group["metrics"]["utility_ratio_last_quarter"]["per_run"] == {"0": 3.0, "1": 7.0}
    assert "agent_loss_last_quarter" not in group["metrics"]
    longer = result._replace(iterations=np.array([25, 50, 80, 100]))
    (group,) = summary(longer, groups)["groups"]
    assert group["metrics"]["utility_ratio_last_quarter"]["per_run"] == {"0": 2.5, "1": 6.5}


def test_from_five_runs_on_a_summary_has_the_interval_of_the_interquartile_mean():
    runs = grid([0], range(6))
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 90.0])
    curves = {"welfare": np.repeat(values[:, None], 4, axis=1), "agent_loss": np.ones((6, 4))}
    (group,) = summary(result_of(runs, curves), group_runs(runs, NOBODY[:6]))["groups"]
    welfare = group["metrics"]["welfare"]
    assert welfare["mean"] == pytest.approx(17.5)
    assert welfare["iqm"] == pytest.approx(3.5)
    assert 1.0 <= welfare["ci_low"] <= 3.5 <= welfare["ci_high"] <= 90.0
