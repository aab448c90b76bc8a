"""Which runs there are, and who trains which."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxparl import selection
from jaxparl.config import Rates
from jaxparl.runs import RunId, describe, grid, rates_of, run_of, shard


def test_every_combination_is_there_once_with_seeds_side_by_side():
    runs = grid([0, 1], [3, 4], {"nudge": [0.0, 0.02], "alpha": [0.1]})
    assert len(set(runs)) == len(runs) == 8
    assert runs[0] == RunId(0, 3, (("nudge", 0.0), ("alpha", 0.1)))
    assert [run.seed for run in runs[:4]] == [3, 4, 3, 4]
    assert describe(runs[-1]) == "game 1 seed 4 nudge 0.02 alpha 0.1"
    assert [run_of(run.labels()) for run in runs] == runs


def test_a_run_has_its_own_rates_and_the_others_of_all():
    runs = grid([0], [0, 1], {"nudge": [0.0, 0.02]})
    rates = rates_of(Rates(alpha=0.1, nudge=0.5), runs)
    np.testing.assert_array_equal(rates.nudge, np.float32([0.0, 0.0, 0.02, 0.02]))
    np.testing.assert_array_equal(rates.alpha, np.full(4, 0.1, np.float32))
    with pytest.raises(ValueError, match="nudge must be >= 0"):
        rates_of(Rates(), grid([0], [0], {"nudge": [-1.0]}))


@given(st.integers(1, 40), st.integers(1, 12))
def test_the_parts_are_the_whole(num_runs, count):
    runs = grid([0], range(num_runs))
    parts = [shard(runs, index, count) for index in range(count)]
    assert list(itertools.chain(*parts)) == runs
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_a_task_of_a_slurm_array_takes_its_part(monkeypatch):
    chosen = selection.Selection()
    assert selection.part(chosen) is None
    # sbatch --array=10-16:2 makes four tasks: 10, 12, 14, 16.
    for name, value in {"COUNT": "4", "MIN": "10", "STEP": "2", "ID": "14"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert selection.part(chosen) == (2, 4)
    assert selection.part(selection.Selection(shard="0/3")) == (0, 3)


@pytest.mark.parametrize("text", ["", "3", "2/2", "-1/2", "a/b", "1/0"])
def test_a_part_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="must be I/N with 0 <= I < N"):
        selection.part(selection.Selection(shard=text))


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        ("nudge", "must be NAME=VALUE,VALUE"),
        ("colour=1,2", "must be NAME=VALUE,VALUE"),
        ("nudge=", "are not numbers"),
        ("nudge=a,b", "are not numbers"),
        ("nudge=0.1,0.10", "twice"),
        ("nudge=-1", "nudge must be >= 0"),
        ("nudge=nan", "nudge must be >= 0"),
    ],
)
def test_a_sweep_that_is_none_is_refused(sweep, says):
    with pytest.raises(ValueError, match=says):
        selection.all_runs("0:1", "0:2", (sweep,), Rates())
