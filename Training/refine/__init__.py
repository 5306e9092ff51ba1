"""How the network that corrects where a reader clicked is made: ``make train NETWORK=refine``."""
