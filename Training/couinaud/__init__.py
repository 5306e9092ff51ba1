"""How the network of the Couinaud segments is made: ``python -m Training.couinaud`` prepares, trains and exports it."""
