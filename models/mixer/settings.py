"""How fast the mixer learns, whatever computes it."""

LEARNING_RATE = 2e-3
LONGEST_GRADIENT = 10.0
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
