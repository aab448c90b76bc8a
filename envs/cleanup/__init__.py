"""Cleanup: an orchard that bears fruit only while somebody cleans the river.

Agents walk on a board with walls. On the left there is a river, on the right an orchard. The river
is polluted all the time, and the more of it is polluted the fewer apples grow. Whoever steps on an
apple eats it. Whoever cleans the river is far away from the orchard, and the others eat what it
makes grow: a public good, as in the game of that name (Hughes et al. 2018, arXiv 1803.08884; Leibo
et al. 2021, arXiv 2107.06857). The rules are ours and simpler: agents move in four directions, see
the whole board, and cannot hinder each other but by standing in the way. Actions are observed.

The rules treat all agents alike. Of several that would enter the same cell a fair draw lets one in,
and so it decides about an apple that several of them want.
"""

from jaxparl.envs.cleanup.presets import PRESETS as PRESETS
from jaxparl.envs.cleanup.rules import CLEAN as CLEAN
from jaxparl.envs.cleanup.rules import DOWN as DOWN
from jaxparl.envs.cleanup.rules import LEFT as LEFT
from jaxparl.envs.cleanup.rules import RIGHT as RIGHT
from jaxparl.envs.cleanup.rules import UP as UP
from jaxparl.envs.cleanup.rules import Cleanup as Cleanup
from jaxparl.envs.cleanup.rules import CleanupParams as CleanupParams
from jaxparl.envs.cleanup.rules import CleanupState as CleanupState
from jaxparl.envs.cleanup.rules import Settings as Settings

__all__ = ["PRESETS", "Cleanup", "CleanupParams", "CleanupState", "Settings"]
