"""What of the rules of routes waits, or needs the loop."""
