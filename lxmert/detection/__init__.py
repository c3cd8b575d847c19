"""From photographs to regions, in either backend: detectors, and what stores the regions that they find."""
