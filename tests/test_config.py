"""Settings are checked when they are created; traced ones were checked before."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from jaxparl.config import Config, HyperParams
from jaxparl.envs.coin_game import Settings as CoinSettings
from jaxparl.envs.game_tree import Settings as TreeSettings


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
        ({"hidden_sizes": 32}, "hidden_sizes must be one or more positive widths"),
        ({"hyper_params": None}, "hyper_params must be HyperParams, not None"),
        ({"evaluation_interval": 150}, "must be a multiple of target_interval"),
    ],
)
def test_a_setting_out_of_its_range_is_named(settings, says):
    with pytest.raises(ValueError, match=says):
        Config(**settings)


@pytest.mark.parametrize("value", ["2000", 2000.0, np.float64(2000), True, None])
@pytest.mark.parametrize("name", ["iterations", "num_envs", "replay_capacity", "target_interval"])
def test_only_an_integer_is_a_count(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number, not "):
        Config(**{name: value})


def test_numbers_of_numpy_are_settings():
    kinds = {"iterations": np.int64(4_000), "hidden_sizes": (np.int32(8),)}
    assert Config(**kinds, priority_floor=np.float32(1e-7)).num_evaluations == 10
    assert HyperParams(nudge=np.float32(0.5), epsilon=1).nudge == 0.5
    with pytest.raises(ValueError, match=r"nudge must be >= 0, not -1\.0"):
        HyperParams(nudge=np.float32(-1))


@pytest.mark.parametrize("name", ["iterations", "num_envs", "batch_size", "replay_capacity"])
def test_a_count_beyond_int32_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at most 2147483647, not 3000000000"):
        Config(**{name: 3_000_000_000})


@pytest.mark.parametrize(
    ("name", "value", "rounded"),
    [
        ("priority_floor", 1e-38, "0.0"),  # subnormal: programs take it for 0
        ("priority_floor", 1e39, "inf"),
        ("priority_exponent", 1e-46, "0.0"),
        ("importance_exponent", 1e-46, "0.0"),
        ("max_gradient_norm", 1e39, "inf"),
        ("target_window", 1 - 1e-9, "1.0"),
        ("principal_target_window", 1 - 1e-9, "1.0"),
        *((name, 1e39, "inf") for name in ("learning_rate", "alpha", "nudge")),
        *((name, 1e-39, "0.0") for name in ("epsilon", "follow_share", "nudge", "alpha")),
    ],
)
def test_a_number_that_float32_cannot_hold_is_refused(name, value, rounded):
    kind = Config if name in Config.__dataclass_fields__ else HyperParams
    with pytest.raises(ValueError, match=f"{name} must be .* which is {rounded} in float32"):
        kind(**{name: value})
    smallest = float(np.finfo(np.float32).tiny)
    assert getattr(kind(**{name: smallest}), name) == smallest


def test_settings_of_games_are_counts():
    for settings in (CoinSettings, TreeSettings):
        field = "grid_size" if settings is CoinSettings else "depth"
        assert settings(**{field: np.int64(3)}) == settings(**{field: 3})
        for value in (3.0, True, "3"):
            with pytest.raises(ValueError, match=f"{field} must be a whole number"):
                settings(**{field: value})
    with pytest.raises(ValueError, match="max_steps_in_episode must be at most 2147483647"):
        CoinSettings(max_steps_in_episode=3_000_000_000)


def test_hyper_parameters_are_checked_as_numbers_and_pass_as_tracers():
    with pytest.raises(ValueError, match="nudge must be >= 0, not -1"):
        HyperParams(nudge=-1.0)
    doubled = jax.jit(lambda one: jax.tree.map(lambda leaf: 2 * leaf, one))(HyperParams())
    np.testing.assert_allclose(doubled.epsilon, 2.0)  # above 1, which no float may be
