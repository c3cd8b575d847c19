"""Questions and images in, answers out: one at a time or in bulk, in either backend."""
