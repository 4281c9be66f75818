"""The discriminator: logits (positive means expert), rewards made from them, regularisers, and CREDO."""
