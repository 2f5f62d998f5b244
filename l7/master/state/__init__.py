"""What the master knows: generations, shared memory, resolved names, overrides of servers."""
