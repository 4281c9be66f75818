"""Table 1's rewards in the expert probability, with more digits than float64 has. No JAX."""

from decimal import Decimal, getcontext

getcontext().prec = 80

IN_PROBABILITY = {
    "plr": lambda d, rest: -rest.ln(),
    "plr-literal": lambda d, rest: -rest.ln(),
    "cr": lambda d, rest: d.ln() - rest.ln(),
    "r3": lambda d, rest: d.ln(),
    "r4": lambda d, rest: d,
    "r5": lambda d, rest: d.exp(),
    "r6": lambda d, rest: -1 / d,
    "r7": lambda d, rest: d * d,
    "fairl": lambda d, rest: (rest.ln() - d.ln()) * d / rest,
    "r8": lambda d, rest: d.sqrt(),
}
"""Name to a function of D and 1 - D."""


def exact_reward(name: str, logit: float) -> float:
    expert = 1 / (1 + (-Decimal(logit)).exp())
    return float(IN_PROBABILITY[name](expert, 1 / (1 + Decimal(logit).exp())))
