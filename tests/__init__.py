"""A package with a file of its own: one of this name that a library installs would hide a folder without."""
