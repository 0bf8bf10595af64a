"""Networks as declarations, by hand in NumPy and as PyTorch modules."""
