"""How the network of the Couinaud segments is made: ``make train NETWORK=couinaud`` prepares, trains and exports it."""
