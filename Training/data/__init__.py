"""What networks learn from: scans brought to the network's grid, who of them trains, and what is drawn into them."""
