"""Images and given objects for VisualBERT's image network for VCR."""
