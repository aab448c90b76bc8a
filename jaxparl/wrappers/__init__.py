"""Games of other libraries as principal-agent environments."""

from jaxparl.wrappers.gymnax_game import GymnaxGame as GymnaxGame
from jaxparl.wrappers.gymnax_game import GymnaxParams as GymnaxParams
from jaxparl.wrappers.gymnax_game import from_gymnax as from_gymnax
from jaxparl.wrappers.jaxmarl_game import JaxmarlGame as JaxmarlGame
from jaxparl.wrappers.jaxmarl_game import from_jaxmarl as from_jaxmarl

__all__ = ["GymnaxGame", "GymnaxParams", "JaxmarlGame", "from_gymnax", "from_jaxmarl"]
