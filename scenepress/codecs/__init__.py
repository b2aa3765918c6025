"""One module per kind of scene: which stages, in which order, with which parameters."""
