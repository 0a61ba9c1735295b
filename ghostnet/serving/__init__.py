"""A model behind HTTP: the server, its limits, and the protocols that it speaks."""
