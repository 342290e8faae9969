"""From chapters to executed notebooks: parameters, processes, caches, and the build that drives them."""
