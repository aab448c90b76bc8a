"""More of the mistakes of `mistakes.py`: what is found by playing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from gymnax.environments import spaces
from mistakes import Mistake, after, always, base, both, params_are, replace, with_wear
from workshop import Params, Settings

from jaxparl.environment import NO_TIME_LIMIT

WITHOUT_TABLE = base("tabular_states", "transitions", "start_probs")

PLAY = {
    "rows": Mistake(
        after("outcome_probs", lambda probs, *rest: 1.25 * probs),
        r"its outcome_probs of action 0 of agent 0 sum to 1\.25, not to 1, in the state .*",
    ),
    "negative": Mistake(
        after("outcome_probs", lambda probs, *rest: probs + jnp.array([-0.5, 0.5])),
        r"its outcome_probs of action 1 of agent 0 are negative, -0\.25, in the state \.wear=.*",
    ),
    "NaN": Mistake(
        after("outcome_probs", lambda probs, state, *rest: probs / (state.wear < 2) * 1.0),
        r"its outcome_probs of action 0 of agent 0 are NaN or infinite, in the state \.wear=2, .*",
    ),
    "observations outside": Mistake(
        {"observation_space": lambda self, params=None: spaces.Discrete(2)},
        r"its get_obs shows agent 0 2, which is outside of its observation_space, Discrete\(2, .*",
    ),
    "a part outside": Mistake(
        {
            "observation_space": lambda self, params=None: spaces.Dict(
                {"map": spaces.Box(0, 1, (2,)), "wear": spaces.Discrete(3)}
            ),
            **after("get_obs", lambda seen, *rest: {"map": jnp.full((2, 2), -0.5), "wear": seen}),
        },
        r"its get_obs shows agent 0 -0\.5 at \['map'\]\[0\], which is outside of its .*",
    ),
    "observations that are NaN": Mistake(
        {
            "observation_space": lambda self, params=None: spaces.Box(0.0, 3.0, (1, 1, 1)),
            **after(
                "get_obs",
                lambda seen, *rest: (seen / (seen < 2))[:, None, None, None],
            ),
        },
        r"its get_obs shows agent 0 (inf|nan) at \[0, 0, 0\], which is outside of .*",
    ),
    "rewards that are NaN": Mistake(
        both(replace(agent_reward=lambda done, state, *rest: done.agent_reward / (state.wear < 2))),
        r"its resolve returns -?(nan|inf) as the agent_reward of agent \d, after the actions .*",
    ),
    "the principal's NaN": Mistake(
        both(replace(principal_reward=lambda done, *rest: done.principal_reward * jnp.nan)),
        "its resolve returns nan as the principal_reward of agent 0, after the actions .*",
    ),
    "time stands still": Mistake(
        both(
            replace(state=lambda done, state, *rest: done.state.replace(time=0 * done.state.time))
        ),
        "its resolve leads from time 0 to time 0, but time must grow by 1, in the state .*",
    ),
    "a late start": Mistake(
        after("initial_state", lambda state, *rest: state.replace(time=jnp.int32(3))),
        "its initial_state starts an episode at time 3, not at time 0",
    ),
    "observed, and yet not": Mistake(
        {"observed_actions": True},
        "its actions are observed, but its outcome_probs are not the identity",
    ),
    "who am I": Mistake(
        {
            "identifies_agents": False,
            **both(
                replace(
                    agent_reward=lambda done, *rest: done.agent_reward * jnp.array([1.0, 2.0]),
                )
            ),
        },
        "its agents see the same in every state, but where all take action 1, agent 1 gets -0.5 "
        "more than agent 0, on average: they share a network, so let get_obs or identifies_.*",
    ),
    "who are they": Mistake(
        {
            "identifies_agents": False,
            **after("outcome_probs", lambda probs, *rest: probs.at[1].set(probs[1, ::-1])),
        },
        "its agents see the same in every state, but the outcome_probs of agent 1 are not .*",
    ),
    "no end": Mistake(
        {
            **WITHOUT_TABLE,
            **params_are(Params(max_steps_in_episode=NO_TIME_LIMIT)),
            **after("resolve", replace(terminated=lambda done, *rest: jnp.bool_(False))),
        },
        "it has no time limit, and nothing ended in 4,096 random steps: give its params a .*",
    ),
}

TABLES = {
    "agents' rewards": Mistake(
        after("transitions", replace(agent_reward=lambda done, *rest: 2 * done.agent_reward)),
        r"after actions .* and outcomes .* in state \d a step brings agent \d -0\.5, but by its "
        "transitions it should be -1",
    ),
    "the principal's rewards": Mistake(
        after("resolve", replace(principal_reward=lambda done, *rest: done.principal_reward + 1)),
        "after .* a step brings the principal .*, but by its transitions it should be .*",
    ),
    "successors": Mistake(
        after("transitions", with_wear(lambda wear: 2 - wear)),
        r"\d+ of \d+ steps after .* lead to state \d, but by its transitions the probability is 0",
    ),
    "probabilities": Mistake(
        after("transitions", replace(probs=lambda done, *rest: done.probs[::-1])),
        r"\d+ of \d+ steps after .* lead to (state \d|the end of the game), but by its .* is .*",
    ),
    "ends": Mistake(
        after("transitions", replace(terminated=lambda done, *rest: 0 * done.terminated > 0)),
        r"\d+ of \d+ steps after .* in state 2 lead to state \d, but by its .* is 1",
    ),
    "sums": Mistake(
        after("transitions", replace(probs=lambda done, *rest: 0.9 * done.probs)),
        r"after .* in state \d the probs of its transitions sum to 0\.9, not to 1",
    ),
    "negative": Mistake(
        after("transitions", replace(probs=lambda done, *rest: done.probs + jnp.array([1, -1]))),
        r"after .* in state \d the probs of its transitions are negative, -1",
    ),
    "NaN": Mistake(
        after("transitions", replace(probs=lambda done, *rest: done.probs * jnp.nan)),
        r"after .* in state \d the probs of its transitions are NaN or infinite",
    ),
    "the principal sees actions": Mistake(
        both(
            replace(
                principal_reward=lambda done, state, action, *rest: done.principal_reward + action
            )
        ),
        r"its actions are hidden, but after .* its transitions bring the principal .*, and after "
        r"actions \[0, 0\] with the same outcome .*",
    ),
    "states see actions": Mistake(
        both(
            replace(
                state=lambda done, state, action, *rest: done.state.replace(
                    wear=0 * done.state.wear + action[0]
                )
            )
        ),
        r"its actions are hidden, but after .* its transitions lead to state \d with .*",
    ),
    "a state that is not listed": Mistake(
        after("tabular_states", lambda states, *rest: jax.tree.map(lambda leaf: leaf[:2], states))
        | {"start_probs": lambda self, params: jnp.array([0.5, 0.5])},
        r"after .* in state 1 its transitions lead to the state \.wear=2, \.time=1, which .*",
    ),
    "a state twice": Mistake(
        after(
            "tabular_states",
            lambda states, *rest: states.replace(wear=jnp.minimum(states.wear, 1)),
        ),
        r"states 1 and 2 of its tabular_states are the same, \.wear=1, \.time=0",
    ),
    "places": Mistake(
        {"state_index": lambda self, state: 2 - state.wear},
        "its state_index says 2 of state 0 of its tabular_states",
    ),
    "a start that is not listed": Mistake(
        after("initial_state", lambda state, *rest: state.replace(wear=state.wear - 1))
        | after("get_obs", lambda seen, *rest: jnp.maximum(seen, 0)),
        r"an episode starts in the state \.wear=-1, \.time=0, which is not in .*",
    ),
    "several starts": Mistake(
        base("start_probs"),
        r"episodes start in more than one state \(0, 1, ...\): its start_probs must say .*",
    ),
    "sum of starts": Mistake(
        after("start_probs", lambda probs, *rest: 0.5 * probs),
        r"its start_probs sum to 0\.5, not to 1",
    ),
    "other starts": Mistake(
        {"start_probs": lambda self, params: jnp.array([0.8, 0.2, 0.0])},
        r"\d+ of 1024 episodes start in state 0, but its start_probs say 0\.8",
    ),
    "too large": Mistake(
        {"num_agents": always(14), **after("initial_state", lambda state, *rest: state)},
        "its table would be too large to be solved: 3 states x 16,384 joint actions x 16,384 "
        "joint outcomes of 2 successors; its tabular_states must return None where .*",
        Settings(num_agents=14),
    ),
    "a table without end": Mistake(
        params_are(Params(max_steps_in_episode=NO_TIME_LIMIT)),
        "it has a table but no time limit: give its params a max_steps_in_episode, or say .*",
    ),
    "time matters": Mistake(
        both(replace(agent_reward=lambda done, state, *rest: done.agent_reward * state.time)),
        r"its tabular_states are listed at one time alone, but after .* \(at time 1\) the "
        r"agent_reward of its transitions is -0\.5, and at time 0 it is -?0",
    ),
}
