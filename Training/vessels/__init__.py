"""How the network of the liver's vessels is made: ``make train NETWORK=vessels`` prepares, trains and exports it."""
