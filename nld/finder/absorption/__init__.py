"""Constants that one parameter adds and later ones take away."""
