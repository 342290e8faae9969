"""Translation symmetries: how activations answer to constant shifts of parameters."""
