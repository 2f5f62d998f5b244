"""What there is to say of servers: as they are now, how they have changed, and how they were at a past moment."""
