"""Region features, questions, batches and metrics; NumPy only, no framework."""
