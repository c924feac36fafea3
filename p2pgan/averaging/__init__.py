"""Vectors in, vectors out: what a peer does to weights between training and the wire. No I/O."""
