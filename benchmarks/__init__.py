"""How fast Credo trains, against the machine and against a peer; see README.md."""
