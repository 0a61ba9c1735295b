"""Data sets, fine-tuning and evaluation."""
