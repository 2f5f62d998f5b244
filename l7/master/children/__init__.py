"""Child processes: forking, signals, channels, and connections passed between workers."""
