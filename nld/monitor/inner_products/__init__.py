"""Inner products of gradient, momentum, position and displacement, unit by unit: all that the charge balance needs."""
