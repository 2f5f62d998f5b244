"""What every process on gevent needs: the channel to the master, timers, greenlets kept for reuse."""
