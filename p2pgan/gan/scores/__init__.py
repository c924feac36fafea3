"""How good drawn images are: features of drawn and real images, and distances between the two sets."""
