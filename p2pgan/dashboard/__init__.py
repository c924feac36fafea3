"""The live page: reads the rendezvous, changes nothing, and talks to nobody but those who look at it.

``p2pgan.dashboard.server.Dashboard`` serves it; what that needs is imported only there.
"""

DEFAULT_PORT = 8266
