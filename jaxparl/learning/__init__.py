"""How principal and agents learn: their networks, their replay, and one iteration of both.

Read `lockstep` first: it is the iteration, Algorithms 2 and 3 of the paper. It acts (`acting`),
remembers (`replay`) and learns (`agent`, `principal`, `outcome_model`), all for one `problem`;
`state` is what changes, and `loop` repeats it. `learner` says what another kind of learner has to
do to take its place.
"""
