"""Images to labels: the forward pass, the classifier and its evaluation."""
