"""Models behind HTTP and gRPC: the server, its limits, and the protocols that it speaks."""
