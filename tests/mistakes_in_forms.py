"""More of the mistakes of `mistakes.py`: what is found by tracing methods."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces
from mistakes import Longer, Mistake, Timeless, after, replace, with_wear
from workshop import State, Workshop


class Instead(Workshop):
    """Methods that are taken one at a time."""

    def with_if(self, key, state, action, outcome, params):
        if state.wear > 1:
            action = 0 * action
        return Workshop.resolve(self, key, state, action, outcome, params)

    def with_numpy(self, key, state, action, outcome, params):
        return Workshop.resolve(self, key, state, np.sort(action), outcome, params)

    def with_callback(self, state, params):
        form = jax.ShapeDtypeStruct((self.num_agents, 2, 2), jnp.float32)
        half = np.full(form.shape, 0.5, np.float32)
        return jax.pure_callback(lambda wear: half, form, state.wear)

    def draws_again(self, key, state, action, outcome, params):
        done = Workshop.resolve(self, key, state, action, outcome, params)
        return done.replace(terminated=done.terminated & (jax.random.uniform(key) < 0.5))

    def starts_twice(self, key, params):
        first = jax.random.randint(key, (), 0, 2)
        return State(first * jax.random.randint(key, (), 0, 2), jnp.int32(0))


FORMS = {
    "dtype after a step": Mistake(
        after("resolve", with_wear(jnp.float32)),
        r"\.wear of the state of its resolve is float32\[\], but it must be int32\[\], as .*",
    ),
    "shape after a step": Mistake(
        after("resolve", with_wear(lambda wear: wear[None])),
        r"\.wear of the state of its resolve is int32\[1\], but it must be int32\[\], as .*",
    ),
    "dtype after reset": Mistake(
        after("initial_state", lambda state, *rest: state.replace(time=jnp.int16(0))),
        r"\.time of what its tabular_states returns is int32\[3\], but it must be int16\[3\]: .*",
    ),
    "leaves after a step": Mistake(
        after("resolve", replace(state=lambda done, *rest: Longer(*vars(done.state).values(), 0))),
        r"the state of its resolve has a leaf \.more, unlike the state of its initial_state",
    ),
    "dtype of transitions": Mistake(
        after("transitions", with_wear(jnp.int8)),
        r"\.wear of the state of its transitions is int8\[2\], but it must be int32\[2\]: .*",
    ),
    "dtype of the table": Mistake(
        after("tabular_states", lambda states: states.replace(wear=jnp.float32(states.wear))),
        r"\.wear of what its tabular_states returns is float32\[3\], .* be int32\[3\]: .*",
    ),
    "no time": Mistake(
        {"initial_state": lambda self, key, params: Timeless(jnp.int32(0))},
        "its initial_state returns a Timeless without a time, the number of steps so far",
    ),
    "no axis of agents": Mistake(
        after("get_obs", lambda seen, *rest: seen[0]),
        r"its get_obs returns the shape \(\), not \(2,\): an axis of its 2 agents, then .*",
    ),
    "shape of observations": Mistake(
        after("get_obs", lambda seen, *rest: seen[:, None]),
        r"its get_obs returns the shape \(2, 1\), not \(2,\): an axis of its 2 agents, then .*",
    ),
    "dtype of observations": Mistake(
        after("get_obs", lambda seen, *rest: jnp.float32(seen)),
        r"its get_obs returns float32\[2\], but its observation_space is of int32",
    ),
    "one reward for all": Mistake(
        after("resolve", replace(agent_reward=lambda done, *rest: done.agent_reward.sum())),
        r"the agent_reward of its resolve has the shape \(\), not \(2,\), one an agent",
    ),
    "rewards of three": Mistake(
        after("resolve", replace(principal_reward=lambda done, *rest: jnp.zeros(3))),
        r"the principal_reward of its resolve has the shape \(3,\), not \(2,\), one an agent",
    ),
    "whole rewards": Mistake(
        after("resolve", replace(agent_reward=lambda done, state, key, action, *rest: action)),
        "the agent_reward of its resolve has the dtype int32, but it must be float",
    ),
    "too many outcomes": Mistake(
        after("outcome_probs", lambda probs, *rest: jnp.concatenate([probs, 0 * probs], axis=-1)),
        r"what its outcome_probs returns has the shape \(2, 2, 4\), not \(2, 2, 2\) \(agents, .*",
    ),
    "too few outcomes": Mistake(
        after("outcome_probs", lambda probs, *rest: probs[..., :1]),
        r"what its outcome_probs returns has the shape \(2, 2, 1\), not \(2, 2, 2\) \(agents, .*",
    ),
    "actions of one agent": Mistake(
        {"available_actions": lambda self, state, params: jnp.ones(2, bool)},
        r"what its available_actions returns has the shape \(2,\), not \(2, 2\) \(agents, .*",
    ),
    "actions of a table": Mistake(
        {"available_actions": lambda self, state, params: jnp.ones((2, 2), bool)},
        "it has available_actions, of which its exact side knows nothing: one of the two must .*",
    ),
    "an if": Mistake(
        {"resolve": Instead.with_if},
        r"its resolve fails \(mistakes_in_forms\.py, line \d+\): TracerBoolConversionError: .* use "
        r"jnp\.where or jax\.lax\.cond instead of .*",
    ),
    "NumPy": Mistake(
        {"resolve": Instead.with_numpy},
        r"its resolve fails \(mistakes_in_forms\.py, line \d+\): TracerArrayConversionError: .*",
    ),
    "a callback": Mistake(
        {"outcome_probs": Instead.with_callback},
        r"its outcome_probs, in a batch of jax\.vmap, fails \(.*\): NotImplementedError: .*",
    ),
    "a part of observations": Mistake(
        {
            "observation_space": lambda self, params=None: spaces.Dict(
                {"wear": spaces.Discrete(3), "map": spaces.Box(0, 1, (4,))}
            ),
            **after("get_obs", lambda seen, *rest: {"wear": seen, "map": jnp.zeros((2, 3))}),
        },
        r"\['map'\] of what its get_obs returns is float32\[2,3\], but it must be float32\[2,4.*",
    ),
    "an error": Mistake(
        after("get_obs", lambda seen, *rest: seen / None),
        r"its get_obs fails \(mistakes\.py, line \d+\): TypeError: .*",
    ),
    "ends in numbers": Mistake(
        after("resolve", replace(terminated=lambda done, *rest: 1.0 * done.terminated)),
        "the terminated of its resolve has the dtype float32, but it must be bool",
    ),
    "a tuple": Mistake(
        after("resolve", lambda done, *rest: (done.state, done.agent_reward)),
        "its resolve returns a tuple without state, agent_reward, .*: see Resolution",
    ),
    "shape of start_probs": Mistake(
        after("start_probs", lambda probs, *rest: probs[:2]),
        r"what its start_probs returns has the shape \(2,\), not \(3,\), one a state",
    ),
    "half a place": Mistake(
        {"state_index": lambda self, state: 0.5 * state.wear},
        "what its state_index returns has the dtype float32, but it must be int",
    ),
    "a key in resolve": Mistake(
        {"resolve": Instead.draws_again},
        r"its resolve uses a random key twice \(mistakes_in_forms\.py, line \d+\): split it, .*",
    ),
    "a key in initial_state": Mistake(
        {"initial_state": Instead.starts_twice},
        r"its initial_state uses a random key twice \(mistakes_in_forms\.py, line \d+\): .*",
    ),
}
