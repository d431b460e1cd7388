# ruff: noqa: RUF001 - these characters are the point
r"""Look-alikes: Unicode characters and TeX commands that are one symbol, and the symbol they are."""

from __future__ import annotations

UNICODE = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": "\\times ", "⋅": "\\cdot ", "·": "\\cdot ",
    "∙": "\\cdot ", "÷": "\\div ", "∕": "/", "⁄": "/", "π": "\\pi ", "∞": "\\infty ",
    "≤": "\\le ", "≥": "\\ge ", "⩽": "\\le ", "⩾": "\\ge ", "≠": "\\ne ", "≈": "\\approx ", "±": "\\pm ",
    "∓": "\\mp ", "∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ", "∅": "\\emptyset ", "ℝ": r"\mathbb{R}",
    "°": r"^{\circ}", "º": r"^{\circ}", "θ": "\\theta ", "α": "\\alpha ", "β": "\\beta ", "γ": "\\gamma ",
    "λ": "\\lambda ", "μ": "\\mu ", "µ": "\\mu ", "φ": "\\phi ", "ω": "\\omega ", "σ": "\\sigma ",
    "ρ": "\\rho ", "Δ": "\\Delta ", "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}",
    "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅕": r"\frac{1}{5}", "⅛": r"\frac{1}{8}", "⅜": r"\frac{3}{8}",
    "€": "\\euro ", "£": "\\pounds ", "’": "'", "‘": "'", "“": '"', "”": '"', "′": "'", "\xa0": " ",
    "\u2009": " ", "\u202f": " ", "\u2002": " ", "\u2003": " ", "⟨": "\\langle ", "⟩": "\\rangle ", "，": ",",
    "；": ";", "：": ":", "\u2028": " ", "（": "(", "）": ")", "％": "%", "\u200b": " ", "\ufeff": "",
    "｛": r"\{", "｝": r"\}", "¢": "\\text{ cents}",
    "、": ", ", "。": ". ", "｡": ". ", "\u3000": " ", "≡": "\\equiv ", "⌊": "\\lfloor ",
    "⌋": "\\rfloor ", "⌈": "\\lceil ", "⌉": "\\rceil ", "∠": "\\angle ", "△": "\\triangle ", "∖": "\\backslash ",
    "…": "\\ldots ", "⋯": "\\ldots ", "√": "\\sqrt ", "∛": "\\sqrt[3] ", "″": "''", "ε": "\\epsilon ", "δ": "\\delta ",
    "τ": "\\tau ", "ψ": "\\psi ", "ξ": "\\xi ", "η": "\\eta ", "Ω": "\\Omega ", "Σ": "\\Sigma ", "〈": "\\langle ",
    "〉": "\\rangle ", "⅙": r"\frac{1}{6}", "⅚": r"\frac{5}{6}", "⅖": r"\frac{2}{5}", "⅗": r"\frac{3}{5}",
    "⅘": r"\frac{4}{5}", "⅝": r"\frac{5}{8}", "⅞": r"\frac{7}{8}", "⅐": r"\frac{1}{7}", "⅑": r"\frac{1}{9}",
    "⅒": r"\frac{1}{10}", "₹": "\\rupee ", "∨": "\\text{ or }", "∧": "\\text{ and }",
}  # fmt: skip
#: Full-width letters, digits and signs are ASCII's with another number, but for those that mean something else above.
UNICODE = {chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F)} | UNICODE
SUPERSCRIPTS = {
    "⁰": "0", "¹": "1", "²": "2", "³": "3", "⁴": "4", "⁵": "5", "⁶": "6", "⁷": "7", "⁸": "8", "⁹": "9",
    "⁻": "-", "⁺": "+", "ⁿ": "n", "ⁱ": "i", "⁽": "(", "⁾": ")", "ᵃ": "a", "ᵇ": "b", "ᶜ": "c", "ᵈ": "d", "ᵉ": "e",
    "ᵏ": "k", "ᵐ": "m", "ᵖ": "p", "ᵗ": "t", "ˣ": "x", "ʸ": "y", "ᶻ": "z",
}  # fmt: skip
SUBSCRIPTS = {
    "₀": "0", "₁": "1", "₂": "2", "₃": "3", "₄": "4", "₅": "5", "₆": "6", "₇": "7", "₈": "8", "₉": "9",
    "₋": "-", "₊": "+", "₍": "(", "₎": ")", "ₐ": "a", "ₑ": "e", "ᵢ": "i", "ⱼ": "j", "ₖ": "k", "ₘ": "m", "ₙ": "n",
    "ₓ": "x",
}  # fmt: skip
COMMANDS = {
    r"\dbinom": r"\binom", r"\tbinom": r"\binom", r"\leq": r"\le", r"\geq": r"\ge", r"\neq": r"\ne",
    r"\leqslant": r"\le", r"\geqslant": r"\ge", r"\varnothing": r"\emptyset", r"\lbrace": r"\{",
    r"\rbrace": r"\}", r"\lbrack": "[", r"\rbrack": "]", r"\lvert": "|", r"\rvert": "|", r"\vert": "|",
    r"\ast": "*", r"\degree": r"^{\circ}", r"\textdegree": r"^{\circ}", r"\land": "\\text{ and }",
    r"\lor": "\\text{ or }", r"\vee": "\\text{ or }", r"\wedge": "\\text{ and }", r"\lt": "<", r"\gt": ">",
    r"\simeq": r"\approx", r"\doteq": r"\approx", r"\dots": r"\ldots", r"\cdots": r"\ldots",
    r"\operatorname*": r"\operatorname", r"\varphi": r"\phi", r"\varepsilon": r"\epsilon", r"\prime": "'",
    r"\boxed": "", r"\fbox": "", r"\mathbf": "", r"\boldsymbol": "", r"\bm": "", r"\mathit": "",
    r"\rightarrow": r"\to", r"\longrightarrow": r"\to", r"\setminus": r"\backslash", r"\colon": ":",
}  # fmt: skip
