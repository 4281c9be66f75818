"""Training: one pure round for one seed, and the host loop that runs many."""
