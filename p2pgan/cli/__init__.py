"""The command ``p2pgan``, one file per subcommand. Heavy imports happen inside the commands."""
