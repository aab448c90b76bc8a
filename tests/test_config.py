"""Settings are checked when they are created; traced ones were checked before."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from jaxparl.config import Config, HyperParams


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"replay": "foo"}, r"replay must be one of \('uniform', 'prioritised'\), not 'foo'"),
        ({"loss": "mse"}, "loss must be one of"),
        ({"critic": "per_state"}, "critic must be one of"),
        ({"iterations": 0}, "iterations must be at least 1, not 0"),
        ({"num_envs": np.int64(0)}, "num_envs must be at least 1, not 0"),
        ({"target_window": np.float64(1.0)}, r"target_window must be in \[0, 1\), not 1.0"),
        ({"hidden_sizes": ()}, "hidden_sizes must be one or more positive widths"),
        ({"evaluation_interval": 150}, "must be a multiple of target_interval"),
    ],
)
def test_a_setting_out_of_its_range_is_named(settings, says):
    with pytest.raises(ValueError, match=says):
        Config(**settings)


def test_a_word_is_no_count():
    with pytest.raises(TypeError):
        Config(iterations="2000")  # type: ignore[arg-type]


def test_hyper_parameters_are_checked_as_numbers_and_pass_as_tracers():
    with pytest.raises(ValueError, match="nudge must be >= 0, not -1"):
        HyperParams(nudge=-1.0)
    doubled = jax.jit(lambda one: jax.tree.map(lambda leaf: 2 * leaf, one))(HyperParams())
    np.testing.assert_allclose(doubled.epsilon, 2.0)  # above 1, which no float may be
