"""From photographs to regions: detectors, and what stores the regions that they find."""
