"""A training run: its task, batches, steps, loop, log and folder."""
