"""Games made of other games: of those of other libraries, and with gifts."""

from jaxparl.wrappers.gifting import GiftingGame as GiftingGame
from jaxparl.wrappers.gifting import with_gifts as with_gifts
from jaxparl.wrappers.gymnax_game import GymnaxGame as GymnaxGame
from jaxparl.wrappers.gymnax_game import GymnaxParams as GymnaxParams
from jaxparl.wrappers.gymnax_game import from_gymnax as from_gymnax
from jaxparl.wrappers.jaxmarl_game import JaxmarlGame as JaxmarlGame
from jaxparl.wrappers.jaxmarl_game import from_jaxmarl as from_jaxmarl

__all__ = [
    "GiftingGame",
    "GymnaxGame",
    "GymnaxParams",
    "JaxmarlGame",
    "from_gymnax",
    "from_jaxmarl",
    "with_gifts",
]
