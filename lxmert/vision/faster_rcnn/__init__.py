"""The decisions of a Faster R-CNN: from an image to the network's input, and from its outputs to regions."""
