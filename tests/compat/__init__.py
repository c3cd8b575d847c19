"""Programs written for `transformers` and its companions, run with this package."""
