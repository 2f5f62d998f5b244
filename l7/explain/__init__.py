"""What ``l7 explain`` says: where a request would go, what would be done to it, and why."""
