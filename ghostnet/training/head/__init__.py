"""A new classifier on a trained network: features, logistic regression, fine-tuning."""
