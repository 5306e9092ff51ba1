"""How the bundled network is made: prepare, fit, export, evaluate, plot; each step is ``python -m Training.<step>``."""
