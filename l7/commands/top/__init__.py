"""``l7 top``: what the l7 that runs is doing, on a screen that changes with it."""
