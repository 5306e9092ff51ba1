"""What is segmented and what comes of it: volumes, labels, measures, without a network."""
