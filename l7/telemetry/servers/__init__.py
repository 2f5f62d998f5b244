"""What there is to say of servers as they are now."""
