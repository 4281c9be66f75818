"""How much is tried: ``CREDO_SOAK_SHARE=0.1`` makes a tenth of the trials."""

import os

SHARE = float(os.environ.get("CREDO_SOAK_SHARE", "1"))


def trials(count):
    return max(round(SHARE * count), 1)
