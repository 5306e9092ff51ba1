"""The network, its card and weights, and the device that it runs on; PyTorch from here on."""
