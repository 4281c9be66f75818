"""``python -m credo`` is ``credo``."""

from credo.cli import main

if __name__ == "__main__":
    main()
