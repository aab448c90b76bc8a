"""Right games of every kind, made of that of `workshop.py`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces
from workshop import Params, State, Workshop

from jaxparl.environment import NO_TIME_LIMIT, PrincipalAgentEnvironment


class Forever(Workshop):
    """Discounted, and without an end."""

    has_horizon = False

    def transitions(self, state, action, outcome, params):
        done = super().transitions(state, action, outcome, params)
        return done.replace(terminated=jnp.zeros(2, bool))

    def resolve(self, key, state, action, outcome, params):
        done = super().resolve(key, state, action, outcome, params)
        return done.replace(terminated=jnp.bool_(False))


class Long(Workshop):
    """Episodes are longer than a check plays them."""

    default_params = Params(max_steps_in_episode=700)


class OnlyTransitions(Workshop):
    """Its steps are drawn from its transitions."""

    resolve = PrincipalAgentEnvironment.resolve


class Listed(Workshop):
    """Its states are listed by NumPy, in 64 bits."""

    def tabular_states(self):
        return State(np.arange(self.settings.worst + 1), np.zeros(self.settings.worst + 1, int))


class Watched(Workshop):
    """Actions are seen, and are what counts."""

    observed_actions = True
    outcome_probs = PrincipalAgentEnvironment.outcome_probs


class NoTable(Workshop):
    """It cannot be enumerated, and ends by itself."""

    default_params = Params(max_steps_in_episode=NO_TIME_LIMIT)
    tabular_states = PrincipalAgentEnvironment.tabular_states
    transitions = PrincipalAgentEnvironment.transitions

    def resolve(self, key, state, action, outcome, params):
        done = super().resolve(key, state, action, outcome, params)
        return done.replace(terminated=done.state.time >= 7)


class Images(NoTable):
    """Agents see boards, through a network that the game brings along."""

    def observation_space(self, params=None):
        return spaces.Dict({"board": spaces.Box(0.0, 1.0, (3, 3))})

    def get_obs(self, state, params=None, key=None):
        return {"board": jnp.zeros((self.num_agents, 3, 3))}

    def make_network(self, hidden_sizes, num_outputs):
        raise NotImplementedError


class Countdown(Workshop):
    """The time is part of its table: the last step is worth the most."""

    default_params = Params(max_steps_in_episode=3)

    def tabular_states(self):
        wear, time = jnp.divmod(jnp.arange(9), 3)
        return State(wear, time)

    def start_probs(self, params):
        return jnp.zeros(9).at[jnp.array([0, 3])].set(0.5)

    def transitions(self, state, action, outcome, params):
        done = super().transitions(state, action, outcome, params)
        is_last = state.time >= 2
        reward = done.agent_reward * (1.0 + state.time)
        return done.replace(agent_reward=reward, terminated=done.terminated | is_last)

    def resolve(self, key, state, action, outcome, params):
        done = super().resolve(key, state, action, outcome, params)
        is_last = state.time >= 2
        reward = done.agent_reward * (1.0 + state.time)
        return done.replace(agent_reward=reward, terminated=done.terminated | is_last)


class Lucky(Workshop):
    """Rewards are random, and some of them are rare; a table has their means."""

    def resolve(self, key, state, action, outcome, params):
        key, key_prize = jax.random.split(key)
        done = super().resolve(key, state, action, outcome, params)
        prize = 10.0 * jax.random.bernoulli(key_prize, 0.01, action.shape)
        return done.replace(agent_reward=done.agent_reward + prize)

    def transitions(self, state, action, outcome, params):
        done = super().transitions(state, action, outcome, params)
        return done.replace(agent_reward=done.agent_reward + 0.1)


class Alike(NoTable):
    """Agents cannot tell who they are, and need not: one of them wins, whoever it is."""

    identifies_agents = False

    def resolve(self, key, state, action, outcome, params):
        key, key_winner = jax.random.split(key)
        done = super().resolve(key, state, action, outcome, params)
        winner = jax.random.randint(key_winner, (), 0, self.num_agents)
        prize = 1.0 * (jnp.arange(self.num_agents) == winner)
        return done.replace(agent_reward=done.agent_reward + prize)


RIGHT = (
    Workshop,
    Forever,
    Long,
    OnlyTransitions,
    Watched,
    NoTable,
    Images,
    Countdown,
    Lucky,
    Alike,
)
