"""What ``p2pgan doctor`` looks at: everything that a peer needs of its machine and its database."""
