"""General linear and rotation symmetries: which coordinates of activations a matrix may mix."""
