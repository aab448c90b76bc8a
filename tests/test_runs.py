"""Which runs there are, and the parts that several processes share."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxparl.config import HyperParams
from jaxparl.training.runs import RunId, describe, grid, hyper_params_of, run_of, shard


def test_every_combination_is_there_once_with_seeds_side_by_side():
    runs = grid([0, 1], [3, 4], {"nudge": [0.0, 0.02], "alpha": [0.1]})
    assert len(set(runs)) == len(runs) == 8
    assert runs[0] == RunId(0, 3, (("nudge", 0.0), ("alpha", 0.1)))
    assert [run.seed for run in runs[:4]] == [3, 4, 3, 4]
    assert describe(runs[-1]) == "game 1 seed 4 nudge 0.02 alpha 0.1"
    assert [run_of(run.labels()) for run in runs] == runs


def test_a_run_has_hyper_parameters_of_its_own_and_the_others_of_all():
    runs = grid([0], [0, 1], {"nudge": [0.0, 0.02]})
    found = hyper_params_of(HyperParams(alpha=0.1, nudge=0.5), runs)
    np.testing.assert_array_equal(found.nudge, np.float32([0.0, 0.0, 0.02, 0.02]))
    np.testing.assert_array_equal(found.alpha, np.full(4, 0.1, np.float32))
    with pytest.raises(ValueError, match="nudge must be >= 0"):
        hyper_params_of(HyperParams(), grid([0], [0], {"nudge": [-1.0]}))


@given(st.integers(1, 40), st.integers(1, 12))
def test_the_parts_are_the_whole(num_runs, count):
    runs = grid([0], range(num_runs))
    parts = [shard(runs, index, count) for index in range(count)]
    assert list(itertools.chain(*parts)) == runs
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
