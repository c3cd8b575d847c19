"""Regions of drawn images: shapes of one colour on a smooth background."""
