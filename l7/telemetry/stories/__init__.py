"""What is recorded of a request, told to people: its story, how servers were at its picks, what to look at next."""
