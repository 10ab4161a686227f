"""Runner, hooks and what the command-line tools share."""
