"""The peers' own state machine under a virtual clock, with modelled network, training and database.

Vectors are symbols here: a state of the weights is the hash of its parent and of what was averaged
into it, so that the invariants can be checked on what the weights really contain.
"""
