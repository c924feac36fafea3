"""One real peer: the protocol's state machine, performed with sockets, a database and a trainer."""
