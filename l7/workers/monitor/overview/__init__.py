"""What is to be seen of a running l7 at one look: rates and latencies, servers, workers, reloads, failures."""
