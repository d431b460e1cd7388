r"""The words, commands and marks that the ladder knows; no rule is here, only names."""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> frozenset[str]:
    return frozenset(each.strip() for each in text.split(","))


FUNCTIONS = _names(
    "sin cos tan cot sec csc arcsin arccos arctan arccot sinh cosh tanh ln log lg exp sqrt max min gcd lcm"
    " abs floor ceil ceiling cbrt binomial binom"
)
#: Names without a backslash, and the command that each is.
ALIASES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "pi": "pi", "infinity": "infty", "inf": "infty",
    "oo": "infty", "theta": "theta", "alpha": "alpha", "beta": "beta", "lambda": "lambda", "omega": "omega",
    "phi": "phi",
}  # fmt: skip
GREEK = _names(
    r"""\alpha \beta \gamma \delta \epsilon \zeta \eta \theta \iota \kappa \lambda \mu \nu \xi \rho \sigma \tau \upsilon
    \phi \chi \psi \omega \Gamma \Delta \Theta \Lambda \Xi \Sigma \Phi \Psi \Omega \ell \hbar"""
)
MODULO = _names(r"\bmod \mod")
TIMES = _names(r"\cdot \times *")
OVER = _names(r"/ \div")
ACCENTS = _names(r"\dot \ddot \vec \hat \bar \tilde")
OPEN = _names(r"( [ { \{ \lfloor \lceil \langle")
CLOSE = _names(r") ] } \} \rfloor \rceil \rangle")
PAIRS = {
    "(": ")",
    "[": "]",
    "{": "}",
    r"\lfloor": r"\rfloor",
    r"\lceil": r"\rceil",
    r"\langle": r"\rangle",
}
RELATIONS = {
    "=": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "!=": "!=", r"\le": "<=", r"\ge": ">=", r"\ne": "!=",
    r"\approx": "~",
}  # fmt: skip
MATRICES = _names("pmatrix bmatrix matrix array Bmatrix smallmatrix")
NAMES = GREEK | _names(r"\vec \hat \bar \overline \overrightarrow _ ' { } \angle \triangle ( ) ,")

CONNECTIVES = _names("or and")
NEGATIONS = _names("not no never isn't neither nor without except")
HEDGES = _names(
    "approximately approx about around roughly nearly almost maybe perhaps probably possibly either circa"
)
LEADING = _phrases(
    "answer is, answer, final answer is, final answer, so, thus, therefore, hence, is, we get, it is, value is"
)
EMPTY = _phrases(
    "none, no solution, no solutions, empty set, the empty set, no real solution, no real solutions, null set,"
    "no solution exists"
)
EVERYTHING = _phrases(
    "all real numbers, all reals, all real number, the real numbers, real numbers"
)
#: What a letter in blackboard bold names; the real numbers are an interval.
NUMBER_SETS = {
    "Z": "integers", "N": "natural numbers", "Q": "rational numbers", "C": "complex numbers",
}  # fmt: skip
NUMERALS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
#: Words that multiply what stands before them in a number in words.
SCALES = {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
}  # fmt: skip
DENOMINATORS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "sixteenth": 16, "twentieth": 20, "hundredth": 100, "thousandth": 1000,
    "halves": 2, "thirds": 3, "quarters": 4, "fourths": 4, "fifths": 5, "sixths": 6, "sevenths": 7, "eighths": 8,
    "ninths": 9, "tenths": 10, "elevenths": 11, "twelfths": 12, "sixteenths": 16, "twentieths": 20, "hundredths": 100,
    "thousandths": 1000,
}  # fmt: skip
MULTIPLES = {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
    "hundreds": 100, "thousands": 1000, "millions": 10**6, "billions": 10**9, "trillions": 10**12, "dozens": 12,
    "lakh": 10**5, "lakhs": 10**5, "crore": 10**7, "crores": 10**7, "score": 20, "scores": 20, "gross": 144,
}  # fmt: skip
#: Words after a number that change it, and so cannot be what is counted.
NO_LABEL = (
    _names(
        """plus minus times over divided not no except without less more than half halves third thirds quarter quarters
    fourth fourths fifth fifths squared cubed if when where mod modulo base wrong remainder double
    twice to infinity unless
    factorial tens below above under
    instead versus vs depending incorrect rather nor neither never none against only but however though although
    or and choose at most least something else out by cannot off excluded matrix
    cien ciento mil mille millionen millones milliarden milliards"""
    )
    | set(NUMERALS)
    | set(SCALES) - {"dozen"}
    | set(ALIASES)
)
#: Words that change a number when they stand behind it alone; ``3 true statements`` is a count.
NO_LABEL_ALONE = _names(
    "negative positive minimum maximum false true greater higher lower fewer smaller larger more"
)
SUFFIXES = _names("st nd rd th am pm")
_MONTHS = "january february march april may june july august september october november december"
MONTHS = tuple(_MONTHS.split())

_UNITS = """
length 1 m meter meters metre metres; length 1/100 cm centimeter centimeters centimetre centimetres
length 1/1000 mm millimeter millimeters millimetre millimetres
length 1/1000000 um micrometer micrometers micron microns
length 1/1000000000 nm nanometer nanometers; length 1000 km kilometer kilometers kilometre kilometres
length 1/10 dm decimeter decimeters; length 127/5000 in inch inches; length 381/1250 ft foot feet
length 1143/1250 yd yard yards; length 201168/125 mi mile miles
mass 1 g gram grams; mass 1000 kg kilogram kilograms; mass 1/1000 mg milligram milligrams
mass 45359237/100000 lb lbs pound pounds; mass 45359237/1600000 oz ounce ounces; mass 1000000 ton tons tonne tonnes
time 1 s sec secs second seconds; time 60 min mins minute minutes; time 3600 h hr hrs hour hours; time 86400 day days
time 604800 week weeks; time 1/1000 ms millisecond milliseconds
year 1 yr yrs year years; year 1/12 month months; year 10 decade decades; year 100 century centuries
length^3 1/1000 L l liter liters litre litres; length^3 1/1000000 mL ml milliliter milliliters; length^3 1 kL kl
length^2 10000 ha hectare hectares; length^2 316160658/78125 acre acres
gallon 1 gal gallon gallons; gallon 1/4 qt quart quarts; gallon 1/8 pt pint pints; gallon 1/16 cup cups
dollar 1 dollar dollars usd USD; dollar 1/100 cent cents ¢; euro 1 euro euros eur EUR; sterling 1 gbp GBP
rupee 1 rupee rupees Rs rs; yuan 1 yuan rmb RMB; yen 1 yen
mass*length*time^-2 1000 N newton newtons; mass*length*time^-2 1000000 kN
mass*length^2*time^-2 1000 J joule joules; mass*length^2*time^-2 1000000 kJ kilojoule kilojoules
mass*length^2*time^-3 1000 W watt watts; mass*length^2*time^-3 1000000 kW kilowatt kilowatts
mass*length^-1*time^-2 1000 Pa pascal pascals; mass*length^-1*time^-2 1000000 kPa kilopascal kilopascals
electronvolt 1 eV; electronvolt 1000 keV; electronvolt 1000000 MeV
voltage 1 V volt volts; current 1 A amp amps ampere amperes; resistance 1 ohm ohms
kelvin 1 K kelvin kelvins; celsius 1 C celsius; fahrenheit 1 F fahrenheit
frequency 1 Hz hertz; frequency 1000 kHz; amount 1 mol mole moles; radian 1 rad rads radian radians; unit 1 unit units
"""
#: Word -> what it measures, as powers of first units, and its size in them.
UNITS = {
    word: (row.split()[0], row.split()[1])
    for row in _UNITS.replace("\n", ";").split(";")
    for word in row.split()[2:]
}
