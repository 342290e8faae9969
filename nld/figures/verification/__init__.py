"""A figure's data against references of several arithmetics."""
