"""`jaxparl.testing`: right games keep all promises, and each promise can be broken."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from right_games import Countdown, Long
from workshop import Params, Workshop

from jaxparl.environment import PrincipalAgentEnvironment
from jaxparl.equilibrium import JointSolutions
from jaxparl.testing import PROMISES, Case, check_conformance

BY_NAME = {promise.__name__: promise for promise in PROMISES}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(Long, marks=pytest.mark.slow), Countdown],
    ids=lambda kind: kind.__name__,
)
def test_right_games_keep_all_promises(kind):
    check_conformance(kind())


class Stepping(Workshop):
    """Its steps are its own, and wrong by `change`, which is given what a step returns, by name."""

    def change(self, done):
        return done

    def step(self, key, state, action, params=None):
        names = ("observation", "state", "reward", "terminated", "truncated", "info")
        done = dict(zip(names, super().step(key, state, action, params), strict=True))
        return tuple((done | self.change(done)).values())


class OneReward(Workshop):
    def step_env(self, *arguments):
        observation, state, reward, *others = super().step_env(*arguments)
        return observation, state, reward.sum(), *others


class OtherObservation(Stepping):
    def change(self, done):
        return {"observation": done["observation"].astype(jnp.int8)}


class NoLimit(Workshop):
    def is_truncated(self, state, params):
        return jnp.bool_(False)


class NoReset(Stepping):
    def change(self, done):
        return {"state": done["info"]["next_state"]}


class NextObservation(Stepping):
    def change(self, done):
        return {"info": done["info"] | {"final_observation": done["observation"]}}


class LostReward(Stepping):
    def change(self, done):
        is_over = done["terminated"] | done["truncated"]
        return {"reward": jnp.where(is_over, 0.0, done["reward"])}


class Counting(Workshop):
    numbers = itertools.count()

    def sample_params(self, key):
        return Params(cost=float(next(self.numbers)))


class EvenOutcomes(Workshop):
    def step_env(self, key, state, action, params):
        key, key_outcome = jax.random.split(key)
        outcome = jax.random.randint(key_outcome, action.shape, 0, 2)
        done = self.resolve(key, state, action, outcome, params)
        info = {
            "outcome": outcome,
            "principal_reward": done.principal_reward,
            "next_state": done.state,
        }
        seen = self.get_obs(done.state, params)
        return seen, done.state, done.agent_reward, done.terminated, info


@jax.custom_batching.custom_vmap
def doubled_in_a_batch(reward):
    return reward


@doubled_in_a_batch.def_vmap
def _(size: int, is_batched: list[bool], reward: jax.Array) -> tuple[jax.Array, bool]:
    return 2 * reward, True


class Batched(Workshop):
    def resolve(self, key, state, action, outcome, params):
        done = super().resolve(key, state, action, outcome, params)
        return done.replace(agent_reward=doubled_in_a_batch(done.agent_reward))


class Modest(JointSolutions):
    def optimal_welfare(self, env_params):
        return jnp.float32(-100.0)


class Underrated(Workshop):
    observed_actions = True
    outcome_probs = PrincipalAgentEnvironment.outcome_probs

    def state_index(self, state):
        return state.wear

    @property
    def exact(self) -> Any:
        return Modest(super().exact)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "name", "complaint"),
    [
        (OneReward, "a_step_returns_six_values", "reward of its steps, of T and E, is float32"),
        (OtherObservation, "states_and_observations_keep_their_form", "is int8.2., but it must"),
        (NoLimit, "the_time_limit_truncates", "are not truncated at"),
        (NoReset, "an_end_is_followed_by_a_start", "after an end, time"),
        (NextObservation, "the_last_observation_is_kept", "the final_observation of a step"),
        (LostReward, "the_last_reward_is_kept", "are not those of its step_env"),
        (Counting, "the_same_key_plays_the_same_game", "draws two params by the same key"),
        (EvenOutcomes, "outcomes_are_as_frequent_as_their_probabilities", "of the steps of agent"),
        (Batched, "a_batch_equals_its_members", "in a batch is not what it is alone"),
        (Underrated, "solutions_bound_each_other", "more than the best, -100"),
    ],
)
def test_a_promise_that_is_broken_is_named(kind, name, complaint):
    with pytest.raises(AssertionError, match=f"^{kind.__name__}: .*{complaint}"):
        BY_NAME[name](Case(kind()))


def test_what_check_env_says_is_a_broken_promise():
    case = Case(Workshop(), Params(discount=1.5))
    with pytest.raises(AssertionError, match="Workshop: its discount must be between 0 and 1"):
        BY_NAME["nothing_is_wrong"](case)


def test_importing_it_does_not_import_pytest():
    code = "import sys, jaxparl.testing; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
