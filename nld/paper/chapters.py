"""The chapters of the book to which the paper's equations, figures and claims belong."""

QUESTION = "book/symmetry-of-the-loss"
MECHANICS = "book/learning-as-mechanics"
BREAKING = "book/kinetic-symmetry-breaking"
NOETHER = "book/noethers-learning-dynamics"
NORMALIZATION = "book/normalization-as-adaptive-optimization"
LIMITS = "book/where-the-closed-form-ends"
BENEFIT = "book/what-symmetry-breaking-buys"
