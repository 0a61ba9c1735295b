"""A teacher, what it answers, and what another network learns from that."""
