"""How black-box agents are rewarded: by a frozen principal, or by the rule of a baseline.

A trained principal is compared with schemes that need no principal (section 5.2 of the paper,
Figures 2 and 4): selfish agents, cooperative agents, and agents that get a constant proportion of
what the others earn. A scheme is a few numbers, so one compiled program runs all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import struct
from jax.typing import ArrayLike

from jaxparl.environment import Environment
from jaxparl.equilibrium.mechanisms import Cooperation, least_fine, least_share
from jaxparl.exact import enumeration
from jaxparl.validation.frozen import Followed


@struct.dataclass
class Scheme:
    """How agents are rewarded; a float each, or arrays under `vmap`. The default is selfish.

    Attributes:
      contract_weight: the share of its contracts that the principal pays. With 0 there is no
        principal, and nothing is recommended.
      proportion: p, the share of the others' rewards that each agent gets in addition to its own.
        With 1 agents are cooperative.
      nudge: what an agent gets for following a recommendation, per step, in addition to its
        contract, in units of reward. There is none where actions are hidden.
      introduction: what an agent gets for following in the first iteration, in addition to that. It
        falls linearly to 0 until half of the iterations are over.
      own_share: the share of its own rewards that each agent keeps. Utilities in metrics are of
        rewards and payments as they are, so this is for schemes without a principal.
      others_follow: 1 where one agent at a time learns, and the others follow: it learns a best
        response to followers. None, where no scheme of a program has that, is 0.
      conditional: 1 where an agent is paid less if all others do as asked, as then less is needed.
        None, where no scheme of a program has that, is 0.
      fine: what an agent pays for not doing as asked, to the others in equal parts. None, where no
        scheme of a program has that, is 0.
    """

    contract_weight: ArrayLike = 0.0
    proportion: ArrayLike = 0.0
    nudge: ArrayLike = 0.0
    introduction: ArrayLike = 0.0
    own_share: ArrayLike = 1.0
    others_follow: ArrayLike | None = None
    conditional: ArrayLike | None = None
    fine: ArrayLike | None = None


#: Schemes that make cooperation an equilibrium without a trained principal, by exact numbers of
#: `equilibrium.mechanisms`. Agents exchange a share of their rewards; or they are asked to
#: cooperate, and are fined, or taxed, for what they do instead.
MECHANISMS = ("exchange", "fine", "pigovian")


def scheme_names(env: Environment, chosen: Sequence[str] = ()) -> dict[str, tuple[str, bool]]:
    """The schemes of a game, in the order of the figure: which, and whether with a nudge.

    A constant proportion and cooperation need others. The nudge is a payment for following, which
    nobody sees where actions are hidden; and it is a share of the welfare, of which one agent alone
    has none. Where nothing is exact, a best response to followers is learned.

    Args:
      env: the game.
      chosen: which schemes, in their order; by default the paper's.

    Raises:
      ValueError: a scheme is unknown, or the game does not have it.

    Examples:
      >>> from jaxparl.envs import make
      >>> list(scheme_names(make("coin_game")[0]))
      ['principal', 'principal + nudge', 'constant', 'constant + nudge', 'cooperative', 'selfish']
      >>> list(scheme_names(make("game_tree", depth=2)[0]))
      ['principal', 'selfish']
      >>> list(scheme_names(make("matrix_game")[0], ["exchange", "principal"]))
      ['exchange', 'principal']
    """
    names = ["principal"]
    if env.num_agents > 1:
        names += ["constant", "cooperative"]
    names += ["selfish"]
    if env.num_agents > 1 and env.exact is None:
        names += ["best response"]
    found: dict[str, tuple[str, bool]] = {}
    for name in names:
        found[name] = (name, False)
        if name in ("principal", "constant") and sees_others(env):
            found[f"{name} + nudge"] = (name, True)
    if not chosen:
        return found
    if sees_others(env):
        more = ["conditional", *(MECHANISMS if enumeration(env) is not None else ())]
        found |= {name: (name, False) for name in more}
    for name in chosen:
        if name not in found:
            raise ValueError(f"{env.name} has no scheme {name!r}, but {', '.join(found)}")
    return {name: found[name] for name in chosen}


def sees_others(env: Environment) -> bool:
    """Whether there are others, and all see what they do: then following can be rewarded."""
    return env.num_agents > 1 and env.observed_actions


def mechanism(name: str, found: Cooperation, nudge: ArrayLike) -> Scheme:
    """One of `MECHANISMS`, with the number that it takes.

    Args:
      name: which.
      found: what cooperation brings, and what deviating from it does.
      nudge: `[]`, by how much cooperating is to be better than deviating.

    Examples:
      >>> from jaxparl.envs import make
      >>> from jaxparl.equilibrium.mechanisms import cooperation
      >>> found = cooperation(*make("matrix_game"))
      >>> scheme = mechanism("exchange", found, nudge=0.0)
      >>> print(f"{scheme.own_share:.2f} of one's own, {scheme.proportion:.2f} of the other's")
      0.60 of one's own, 0.40 of the other's
    """
    others = found.own.shape[1] - 1
    match name:
        case "exchange":
            share = least_share(found, nudge)
            return Scheme(own_share=1 - share, proportion=share / others)
        case "fine":
            return Scheme(contract_weight=1.0, fine=least_fine(found) + nudge)
        case _:
            return Scheme(contract_weight=1.0)


def left_out(env: Environment) -> str:
    """Which of the paper's schemes a game does not have, and why; empty if it has them all.

    Examples:
      >>> from jaxparl.envs import make
      >>> left_out(make("game_tree", depth=2)[0])
      'one agent alone: validated without the schemes that need others'
    """
    if env.num_agents == 1:
        return "one agent alone: validated without the schemes that need others"
    if not env.observed_actions:
        return "actions are hidden, so nobody can be paid for following: validated without a nudge"
    return ""


def comparable_schemes(
    env: Environment, followed: Followed, nudge_share: ArrayLike
) -> dict[str, Scheme]:
    """The principal, and the schemes that it is compared with, by name.

    The nudge is worth `nudge_share` of the welfare if all follow the principal. Agents get it in
    equal parts, one for every recommendation that they follow. If all follow throughout an episode,
    this adds up to exactly that share.

    The constant proportion pays the same share of welfare as the principal does if all follow,
    nudges included. To pay a share x it is x / (N - 1), because every reward is paid to each of the
    N - 1 others. If following brings no welfare there is nothing to share: nudges are worth 0, and
    what the principal pays is no share of anything, and counts as 0.

    Args:
      env: the game.
      followed: what the principal brings if all follow.
      nudge_share: `[]`, in the paper 0 or 0.1.

    Examples:
      >>> from jaxparl.envs import make
      >>> from jaxparl.types import PlayValue
      >>> env, _ = make("coin_game", max_steps_in_episode=20)
      >>> value = PlayValue(welfare=8.0, payment=2.0, utilities=jnp.array([5.0, 5.0]))
      >>> schemes = comparable_schemes(env, Followed(value, jnp.float32(40)), nudge_share=0.1)
      >>> print(f"{schemes['principal'].nudge:.3f}, {schemes['constant'].proportion:.3f}")
      0.020, 0.350
    """
    value, others = followed.value, max(1, env.num_agents - 1)
    welfare = jnp.maximum(value.welfare, 0)
    share = jnp.where(welfare > 0, value.payment_share, 0)
    # Written as XLA divides by a number that it knows, such as a time limit.
    nudge = welfare * (nudge_share * (1 / followed.recommendations))
    learns_alone = "best response" in scheme_names(env)
    schemes = {
        "principal": Scheme(contract_weight=1.0, nudge=nudge),
        "constant": Scheme(proportion=(share + nudge_share) / others),
        "cooperative": Scheme(proportion=1.0),
        "selfish": Scheme(),
    }
    if learns_alone:
        schemes["best response"] = Scheme(contract_weight=1.0, others_follow=1.0)
    return schemes


def conditional() -> Scheme:
    """The principal of the paper: it pays for what the others really did.

    If all of them did as asked, following is worth more than otherwise, and is paid less.
    """
    return Scheme(contract_weight=1.0, conditional=1.0)


def alike(all_schemes: Sequence[Scheme]) -> list[Scheme]:
    """Schemes with the same fields: what one of them has, the others have as 0.

    Examples:
      >>> [scheme.fine for scheme in alike([Scheme(), Scheme(fine=0.5)])]
      [0.0, 0.5]
    """
    optional = ("others_follow", "conditional", "fine")
    has = [name for name in optional if any(getattr(one, name) is not None for one in all_schemes)]
    return [
        dataclasses.replace(one, **{name: 0.0 for name in has if getattr(one, name) is None})
        for one in all_schemes
    ]


def total_rewards(scheme: Scheme, agent_reward: jax.Array, payment: jax.Array) -> jax.Array:
    """What agents learn from, `[N]`: k r_i + p sum_{j != i} r_j + the payment to i.

    Args:
      scheme: of which k is the share that agents keep of their own, and p the proportion.
      agent_reward: `[N]`, the rewards of the game.
      payment: `[N]`, what they are paid besides, nudges and fines included.

    Examples:
      >>> rewards, payments = jnp.array([1.0, 0.0]), jnp.array([0.0, 0.25])
      >>> total_rewards(Scheme(proportion=0.5), rewards, payments).tolist()
      [1.0, 0.75]
    """
    own = jnp.asarray(scheme.own_share) * agent_reward
    return own + scheme.proportion * others_rewards(agent_reward) + payment


def introduction(scheme: Scheme, iteration: ArrayLike, iterations: int) -> jax.Array:
    """`[]`, what the introductory nudge is in an iteration.

    Examples:
      >>> [float(introduction(Scheme(introduction=0.5), at, 1000)) for at in (0, 250, 500, 900)]
      [0.5, 0.25, 0.0, 0.0]
    """
    left = 1 - jnp.asarray(iteration, jnp.float32) / (iterations / 2)
    return jnp.asarray(scheme.introduction) * jnp.maximum(left, 0)


def others_rewards(agent_reward: jax.Array) -> jax.Array:
    """`[..., N]`, the sum of the other agents' rewards."""
    return jnp.sum(agent_reward, axis=-1, keepdims=True) - agent_reward
