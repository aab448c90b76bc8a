"""The arrays that travel between modules, and the letters of their axes.

Every shape in this package is written with these letters:

    R  runs          independent trainings (games x settings x seeds), vmapped at the very top
    E  environments  copies of the game that one run steps at once
    B  batch         transitions drawn from replay for one gradient step
    T  time          steps of a finite horizon
    S  states        states of a game that is small enough to enumerate
    N  agents
    A  actions       of one agent
    O  outcomes      what the principal can observe, and pay for
    K  successors    the states that may follow one (state, outcome)
    J  joint actions, an action of each agent; the last agent's varies fastest
    Z  joint outcomes, likewise

Functions are written without the leading R, E and B axes: `vmap` adds them where
a comment names them.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.numbers import ratio
from jaxparl.summaries import by_shape

PyTree = Any

#: How every key that we make ourselves draws its numbers, whatever JAX is set to use by default:
#: game 0 and seed 0 are the same everywhere. A function that is given a key uses that one.
KEY_IMPL = "threefry2x32"


def fixed_key(seed: int) -> jax.Array:
    """The key of a seed from 0 to 2^32 - 1, whatever JAX is set to.

    `jax.random.key` depends on JAX's default implementation, and on an offset of all seeds.

    Examples:
      >>> bool(fixed_key(3) == jax.random.key(3, impl=KEY_IMPL))
      True
    """
    return jax.random.wrap_key_data(jnp.array([0, seed], jnp.uint32), impl=KEY_IMPL)


@struct.dataclass
class Contract:
    """What the principal offers one agent: a payment for each outcome.

    Attributes:
      payments: `[O]`, never negative (limited liability), in units of reward.
      expected_payment: `[]`, its mean over the outcomes of the recommended action.
      implementable: `[]` bool, whether any contract makes the recommended action
        a best response. Where it is False the payments are zero, not infinite.

    Examples:
      An action that costs the agent 0.8 more, and makes the second outcome likely:

      >>> from jaxparl.contracts import minimal_contract
      >>> outcome_probs = jnp.array([[0.9, 0.1], [0.1, 0.9]])
      >>> contract = minimal_contract(jnp.array([0.0, -0.8]), outcome_probs, action=1)
      >>> contract.payments.round(3).tolist()
      [0.0, 1.0]
      >>> bool(contract.implementable)
      True
    """

    payments: jax.Array
    expected_payment: jax.Array
    implementable: jax.Array


@struct.dataclass
class TabularGame:
    """A principal-agent MDP with one agent, written out state by state.

    Attributes:
      agent_reward: `[S, A]`, r(s, a).
      principal_reward: `[S, O]`, r_p(s, o).
      outcome_probs: `[S, A, O]`, O(s, a)(o); each row sums to 1.
      successor: `[S, O, K]` int, the states that may follow.
      successor_probs: `[S, O, K]`, T(s, o)(s'). What is missing from 1 in the last
        axis is the chance that the game ends.
      discount: `[]`, gamma, shared by principal and agent.

    Examples:
      One state in which the agent may work, at a cost of 0.8. Work makes success likely, which is
      worth 2 to the principal; then the game ends.

      >>> from jaxparl.equilibrium import backward_induction
      >>> table = TabularGame(
      ...     agent_reward=jnp.array([[0.0, -0.8]]),
      ...     principal_reward=jnp.array([[0.0, 2.0]]),
      ...     outcome_probs=jnp.array([[[0.9, 0.1], [0.1, 0.9]]]),
      ...     successor=jnp.zeros((1, 2, 1), int),
      ...     successor_probs=jnp.zeros((1, 2, 1)),
      ...     discount=jnp.float32(1.0),
      ... )
      >>> equilibrium = backward_induction(table, horizon=1)
      >>> int(equilibrium.action[0, 0])  # the principal has the agent work
      1
      >>> equilibrium.contract[0, 0].round(3).tolist()  # and pays for success
      [0.0, 1.0]
    """

    agent_reward: jax.Array
    principal_reward: jax.Array
    outcome_probs: jax.Array
    successor: jax.Array
    successor_probs: jax.Array
    discount: jax.Array

    __repr__ = by_shape


@struct.dataclass
class JointGame:
    """A principal-agent MDP with N agents, written out state by state.

    It has those joint actions that matter: all of them, or those of given policies. Where actions
    are observed, joint outcomes are these joint actions; otherwise they are all that there are.

    Attributes:
      action: `[S, J, N]` int, the joint actions.
      agent_reward: `[S, J, N]`, r_i(s, a), in expectation over outcomes.
      outcome_probs: `[S, N, A, O]`, O_i(s, a_i)(o_i), drawn independently for each agent; None
        where actions are observed.
      outcome: `[Z, N]` int, the joint outcomes; None where actions are observed, and Z is J.
      principal_reward: `[S, Z]`, r_p(s, o), of all agents together.
      successor: `[S, Z, K]` int, the states that may follow.
      successor_probs: `[S, Z, K]`, T(s, o)(s'). What is missing from 1 in the last axis is the
        chance that the game ends.
      start_probs: `[S]`, where episodes start.
      discount: `[]`, gamma, shared by principal and agents.
    """

    action: jax.Array
    agent_reward: jax.Array
    outcome_probs: jax.Array | None
    outcome: jax.Array | None
    principal_reward: jax.Array
    successor: jax.Array
    successor_probs: jax.Array
    start_probs: jax.Array
    discount: jax.Array


@struct.dataclass
class PlayValue:
    """What an episode brings, in expectation over all its random numbers.

    It is undiscounted where episodes have a horizon, and discounted where they have none.

    Attributes:
      welfare: `[]`, the rewards of all agents, in units of reward.
      payment: `[]`, what the principal pays all of them.
      utilities: `[N]`, each agent's rewards and payments.
      principal_reward: `[]`, the principal's rewards, before it pays; None where the author of the
        exact solutions does not say.

    Examples:
      >>> import jax.numpy as jnp
      >>> value = PlayValue(
      ...     welfare=jnp.float32(4.0), payment=jnp.float32(1.0), utilities=jnp.array([3.0, 2.0])
      ... )
      >>> float(value.payment_share)
      0.25
    """

    welfare: jax.Array
    payment: jax.Array
    utilities: jax.Array
    principal_reward: jax.Array | None = None

    @property
    def payment_share(self) -> jax.Array:
        """`[]`, the payment over the welfare: 0 where nothing is paid.

        NaN where something is paid, but the welfare is not positive.
        """
        return jnp.where(self.payment == 0, 0.0, ratio(self.payment, self.welfare))


@struct.dataclass
class Transition:
    """One stored step of the environment, as it is kept in replay.

    Attributes:
      env_state: the state before the step, compact; observations are computed from it.
      action: `[N]` int.
      outcome: `[N]` int.
      follows: `[N]` bool, which agents follow the principal in this episode.
      deviated: `[N]` bool, which agents did something else than they wanted, by exploring.
      agent_reward: `[N]`. In training, payments are not included; in validation they are, because
        black-box agents learn from everything they receive.
      principal_reward: `[N]`, one term per agent, payments not included.
      next_env_state: the state after the step, before any reset.
      continues: `[]`, 0 where the game ended, else 1. A time limit does not end it.
    """

    env_state: PyTree
    action: jax.Array
    outcome: jax.Array
    follows: jax.Array
    deviated: jax.Array
    agent_reward: jax.Array
    principal_reward: jax.Array
    next_env_state: PyTree
    continues: jax.Array


@struct.dataclass
class Offer:
    """What the principal offers each agent in one state.

    Attributes:
      recommendation: `[N]` int, the recommended action.
      contract: the contract for it, payments `[N, O]`.
      own_action: `[N]` int, what the agent would do without a payment.
      agent_value: `[N]`, Q-bar of the recommended action plus the expected payment.
      principal_value: `[N]`, q of the recommended action.
    """

    recommendation: jax.Array
    contract: Contract
    own_action: jax.Array
    agent_value: jax.Array
    principal_value: jax.Array


@struct.dataclass
class TrainState:
    """What one learner trains: the principal, or all agents together (they share weights).

    Attributes:
      params: weights of the online network.
      target_params: weights of the target network.
      optimizer_state: the state of the optax optimiser.
    """

    params: PyTree
    target_params: PyTree
    optimizer_state: PyTree
