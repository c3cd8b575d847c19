"""From photographs to regions, in either backend: detectors, and what stores the regions that they find.

The detectors are imported here, so that each is registered for its sources; none imports a framework before it is used.
"""

from . import grid, shapes, vcr, visual_genome  # noqa: F401 - each registers its source
