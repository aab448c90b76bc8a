"""What black-box agents make of a principal that learns no more (section 5.2 of the paper).

`schemes` says how agents are rewarded, `terms` what they face, `black_boxes` how they learn, and
`metrics` what is measured: the panels of the paper's Figures 2 and 4.
"""
