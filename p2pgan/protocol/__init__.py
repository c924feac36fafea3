"""The rules of the system as pure code: events in, effects out.

Nothing here has a clock, a socket, a thread or a tensor. A real peer, a test and the simulation
run the same machine.
"""
