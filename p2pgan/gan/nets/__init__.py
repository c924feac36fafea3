"""The networks that come with p2pgan, one family a file, and what they are made of."""
