"""How client connections go on in another worker: handed over, adopted, and relayed by who keeps their TLS."""
