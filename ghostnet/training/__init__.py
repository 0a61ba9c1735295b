"""Fine-tuning and training of networks."""
