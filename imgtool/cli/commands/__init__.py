"""One file a command: its options, one call, what it prints."""
