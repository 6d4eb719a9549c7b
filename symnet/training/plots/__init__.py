"""Pictures of a training and of what a network has learned, as matplotlib figures that no display shows.

Save one with `figure.savefig("curves.png")`, or look at it in a notebook.
"""

from symnet.training.plots.curves import curves
from symnet.training.plots.kernels import feature_maps, filters
from symnet.training.plots.matrix import confusion
from symnet.training.plots.writing import write_pictures

__all__ = ["confusion", "curves", "feature_maps", "filters", "write_pictures"]
