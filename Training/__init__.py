"""How the bundled network is made: prepare, augment, fit, evaluate, plot, export. Each step is ``python -m Training.<step>``."""
