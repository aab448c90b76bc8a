"""What every game promises, as an installable suite for the tests of whoever writes one.

All promises at once:

    from jaxparl.testing import check_conformance

    def test_my_game_keeps_its_promises():
        check_conformance(MyGame())

Or a test for each, which share what they play:

    import pytest
    from jaxparl import testing

    CASE = testing.Case(MyGame())

    @pytest.mark.parametrize("promise", testing.PROMISES, ids=lambda promise: promise.__name__)
    def test_my_game(promise):
        promise(CASE)

A promise that is broken raises an AssertionError, which says what is wrong. The first promise is
that `jaxparl.check_env` has nothing to say. The others are about whole steps, which the library
makes of a game's methods, and which a game may write itself.
"""

from jaxparl.environment import Environment, GameParams
from jaxparl.testing.case import Case as Case
from jaxparl.testing.case import Play as Play
from jaxparl.testing.promises import PROMISES as PROMISES

__all__ = ["PROMISES", "Case", "Play", "check_conformance"]


def check_conformance(env: Environment, env_params: GameParams | None = None) -> None:
    """Checks that a game keeps all promises.

    Raises:
      AssertionError: it breaks one; the message says which one, and how.

    Examples:
      >>> from jaxparl.envs import make
      >>> check_conformance(*make("game_tree", depth=2))
    """
    case = Case(env, env_params)
    for promise in PROMISES:
        promise(case)
