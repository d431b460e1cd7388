"""A rough subject for a mathematics problem, by the words in it.

s1 asks a large model for the subject of each question and Light-R1 uses a tagger that was not released. This one counts
cue words, costs nothing and serves picks that shall not be one-sided, nothing finer. With both algebras of MATH taken
together, prealgebra left out and precalculus called trigonometry and vectors, it agrees with MATH's own subject for
79 % of 6,295 training problems, whose words suggested the cues, and for 81 % of 418 of MATH-500, which did not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

OTHER = "algebra"

#: Subject -> stems of words that speak for it, each counted once per problem, at the start of a word.
CUES: Mapping[str, tuple[str, ...]] = {
    "geometry": (
        "triangle", "circle", "angle", "rectangle ", "rectangles", "polygon", "hexagon", "pentagon", "trapezoid",
        "parallelogram", "quadrilateral", "rhomb", "diagonal", "radius", "radii", "diameter", "circum", "perimeter",
        "tangent to", "chord", "inscribed", "sphere", "cone", "cylind", "cube ", "prism", "pyramid", "tetrahed", "area",
        "volume", "perpendicular", "midpoint", "bisect", "altitude", "median", "hypotenuse", "overline", "square with",
        "side length", "square units", "similar",
    ),
    "number theory": (
        "divis", "prime", "remainder", "modulo", "mod", "pmod", "gcd", "lcm", "digit", "multiple", "coprime", "base",
        "congruen", "greatest common", "least common", "perfect square", "positive integer", "factors",
    ),
    "counting and probability": (
        "probab", "how many ways", "dice", "die ", "coin", "random", "choose", "chosen", "arrange", "permut",
        "binom", "expected", "committee", "cards", "ways", "marble", "select", "jar", "urn", "outcome", "flip",
        "shuffl", "how many different", "distinct", "paths", "letters",
    ),
    "trigonometry and vectors": (
        "sin", "cos", "tan ", "tan^", "tan\\", "tan(", "vector", "mathbf", "matri", "pmatrix", "polar",
        "rectangular coordinates", "determinant", "cot", "sec ", "theta", "roots of unity", "projection", "spherical",
        "arc", "plane",
    ),
    "calculus": ("integral", "int_", "derivative", "lim_", "converge", "infinite series", "differenti"),
    "algebra": (
        "polynomial", "equation", "solve for", "function", "f(x", "root", "quadratic", "express", "simplify",
        "value of", "expand", "inequal", "log", "sqrt", "coefficient", "domain", "asymptot", "graph", "line ", "slope",
        "parabola", "ellipse", "hyperbola", "inverse", "real number", "satisf", "sequence", "arithmetic", "geometric",
        "constant", "monic", "for all real", "complex number", "factor the", "solutions", "evaluate", "f^{-1}", "p(x",
        "dollar", "cost", "price", "hour", "percent", "mile", "average", "compute",
    ),
}  # fmt: skip

_PATTERNS = {
    domain: re.compile(r"(?<![a-z])(" + "|".join(map(re.escape, cues)) + ")")
    for domain, cues in CUES.items()
}


def domain_of(prompt: str) -> str:
    """The subject with the most different cues, ``algebra`` when there are none; ties go to the earlier subject."""
    text = prompt.lower()
    counts = {domain: len(set(pattern.findall(text))) for domain, pattern in _PATTERNS.items()}
    best = max(counts, key=lambda domain: counts[domain])
    return best if counts[best] else OTHER
