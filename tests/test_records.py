"""The run folder's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from jaxparl.records import RunFolder, different, interval, summarise


def test_the_interval_is_students_by_hand():
    # Mean 2, standard error 1 / sqrt(3), and t = 4.3027 for two degrees of freedom.
    low, high = interval(np.array([1.0, 2.0, 3.0]))
    assert low == pytest.approx(2 - 4.302653 / np.sqrt(3), abs=1e-5)
    assert high == pytest.approx(2 + 4.302653 / np.sqrt(3), abs=1e-5)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(size=(4000, 5))
    covered = [low <= 0 <= high for low, high in map(interval, draws)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.012)


def test_what_is_not_a_number_is_left_out_of_the_mean():
    summary = summarise(np.array([1.0, np.nan, 3.0]))
    assert summary["mean"] == 2.0
    assert summary["per_run"] == [1.0, None, 3.0]
    assert summarise(np.array([np.nan]))["mean"] is None


def test_settings_that_differ_are_named_where_they_differ():
    here = {"config": {"rates": {"nudge": 0.02}, "sizes": [64, 64]}, "runs": [{"seed": 0}]}
    there = {"config": {"rates": {"nudge": 0.0}, "sizes": [64]}, "runs": [{"seed": 1}]}
    assert different(here, here) == []
    assert different(here, there) == [
        "config.rates.nudge was 0.0, not 0.02",
        "config.sizes was 1 of them, not 2 of them",
        "runs[0].seed was 1, not 0",
    ]


def test_one_process_at_a_time_has_a_folder(tmp_path):
    first = RunFolder(tmp_path)
    with pytest.raises(BlockingIOError, match="another process is at work"):
        RunFolder(tmp_path)
    first.close()
    RunFolder(tmp_path).close()


def test_one_run_has_no_interval():
    assert interval(np.array([1.0])) == (None, None)
    assert summarise(np.array([1.0])) == {
        "mean": 1.0,
        "ci_low": None,
        "ci_high": None,
        "per_run": [1.0],
    }


def test_an_empty_folder_may_be_reused_and_a_full_one_not(tmp_path):
    RunFolder(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    (tmp_path / "metrics.csv").write_text("precious")
    with pytest.raises(FileExistsError, match="is not empty"):
        RunFolder(tmp_path)
    assert (tmp_path / "metrics.csv").read_text() == "precious"
