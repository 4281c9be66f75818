"""Measures of a run: reward-free distances to the expert, and the verdict on a seed's curves. NumPy alone."""
