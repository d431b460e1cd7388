r"""Whether the words around an answer commit to it, or deny it, ask about it or name another one beside it.

Only the words next to the answer count, because a good solution denies many other things (``f is not continuous at
\boxed{2}``, ``\boxed{5}, not 6``):

* before it, in its own clause: a negation with nothing but small words up to the answer (``cannot be``, ``\neq``,
  ``rather than``, ``I do not think the answer is``, ``a wrong answer is``);
* behind it, in its own sentence: ``is wrong``, ``is not the answer``, ``does not work``, a question mark, ``or`` with
  another value or with ``something else``;
* at the start of the next sentence: ``No,``, ``That is wrong``, ``Wait, it should be 6``; and ``scratch that`` later.
"""

from __future__ import annotations

import re

REACH = 200  # characters before an answer that are looked at; behind it twice as many are

_MARKUP = re.compile(
    r"\\(?:text(?:bf|it|rm|normal)?|math(?:rm|bf)|q?quad|[,;!: ()\[\]])|[{}$*~_\"\u201c\u201d\u2018`]"
)
_CLAUSE = re.compile(r"[\n;!?]|[.,:] |\b(?:so|thus|hence|therefore|because|since|but)\b")
_CONTRACTED = (
    (re.compile(r"\\not ?=|\\neq?\b|\u2260|!=|<>"), " not = "),
    (re.compile(r"(?:(?<=ca)n|(?<=wo)n)['\u2019]t\b"), "n not"),  # can't, won't
    (re.compile(r"n['\u2019]t\b|(?<=\bcan)not\b"), " not"),
    (re.compile(r"(?<=[a-z])['\u2019]s\b"), " is"),
    (re.compile(r"[ \t]+"), " "),
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: What may stand between a negation and the answer that it denies, besides one-letter names.
_SMALL = _words(
    """be been is was are equal equals to = as the a an our my your this that it final correct right actual true valid
    possible answer solution value result choice option number simply just only necessarily actually really exactly
    definitely certainly quite even think believe say claim mean case certain sure if whether would could"""
)
_ARTICLES = _words("the a an my our one")
_FINITE = _words("is was are equals")
_OPINION = _words("think believe say claim mean true correct case certain sure that")
_NEGATIONS = _words("not never nor neither")
_WRONG = _words("wrong incorrect false untrue")
_OTHER_THAN = re.compile(
    r"\b(?:instead of|(?:rather|other) than|(?:any|every)\w+ (?:but|except)|ruled out|i doubt)"
    r"(?: (?:that|it|the|answer|is|[a-z] ?=))*$"
)

#: The same in Chinese, Spanish, German, French and Russian, right before the answer.
_NOT_ABROAD = re.compile(
    r"(?:\u4e0d\u662f|\u5e76\u975e|\u4e0d\u7b49\u4e8e|\bno es|\bist nicht|\bn['\u2019]est pas|\b\u043d\u0435)$"
)
#: Struck out or in a comment, so that no reader sees it.
_HIDDEN = re.compile(r"<(?:s|del|strike)>[\s$*]*$|<!--(?:(?!-->).)*$", re.DOTALL)

_FALSE = r"(?:wrong|incorrect|false|mistaken|invalid|untrue|impossible|extraneous|ruled out)\b"
_ADVERB = r"(?:(?:simply|just|only|actually|really|definitely|certainly|clearly|obviously|also|still|possibly) )*"
_ANSWER = (
    r"(?:(?:the|a|an|our|my|this|that) )?(?:(?:final|only|correct|right|real|valid|possible) )*"
    r"(?:answer|solution|value|result|box|one|above)\b"
)
_FITS = rf"(?:{_ANSWER}|(?:it|correct|right|true|valid|possible|what|so|work|hold|fit|satisfy)\b)"
_DENIES = (
    rf"(?:fails\b|(?:is|was|can|could|must|should|would|will|does|do|did|seems|looks)(?: be)? {_ADVERB}"
    rf"(?:(?:an? |the )?{_FALSE}(?! (?:to|for|that)\b)|not (?:be )?{_ADVERB}{_FITS}))"
)
_GAP = r"[ ,:;.()<\u2190\u2026\u2013\u2014-]*+"
_UNSAY = rf"(?:(?:but|wait|actually|hmm+|sorry|oops|however|oh|no|correction){_GAP})"
_REFUSES = (
    rf"(?:{_UNSAY}*(?:(?:no|nope|not really|never mind|{_FALSE})"
    r"(?=\s*(?:[),.!;:\u2026\u2013\u2014-]|$)| wait| that| it )"
    rf"|(?:this|that|it|which|{_ANSWER}) {_DENIES})"
    rf"|(?:correction|edit|on second thoughts?){_GAP}(?:{_ANSWER} is )?[-+\\0-9]"
    rf"|{_UNSAY}+(?:i mean|i meant|make (?:it|that)|(?:it|that|{_ANSWER}) (?:is|should be|must be)) [-+\\0-9])"
)
_DENIED_BEHIND = re.compile(
    rf"[°%]?(?: [a-z]+){{0,3}}? {_DENIES}"  # a unit may come first
    rf"|{_GAP}{_REFUSES}"
    rf"|{_GAP}not[ .!)]*$"
    r"|(?: [a-z]+)?[ )]*\?(?!\s*(?:yes|yep|indeed|correct|right|exactly|it is|it works))"
    rf"|(?: [a-z]+){{1,4}} ?\?\s*(?:no\b|nope|not\b|{_FALSE})"
    rf"|[^.!?\n]{{0,60}}[.!\u2026\n]++\s*+{_REFUSES}"
    r"|[^.!?\n]{0,80}\bbut (?:the |its )?(?:correct|right|true|actual|real) (?:answer|value|solution|result) is\b"
    r"|\s*\u662f?(?:[\u2717\u2718\u274c]|\u9519|\u4e0d\u5bf9|\u4e0d\u6b63\u786e)"
    r"| (?:es incorrect|no es correct|ist (?:falsch|nicht)\b"
    r"|est (?:faux|incorrect)|n['\u2019]est pas|\u043d\u0435\u0432\u0435\u0440\u043d)"
)
_UNSAID = re.compile(
    r"\b(?:scratch that|just kidding|i was wrong|take (?:that|it) back"
    r"|(?:disregard|ignore) (?:the|that|my) (?:above|box|answer))\b"
)

_MAYBE = r"(?:(?:maybe|perhaps|possibly|else|is it|it (?:could|might|may)(?: also)? be)[\s$]+)*"
_OR = r"or|alternatively|otherwise|oder|ou|\u0438\u043b\u0438|\u6216\u8005?"
#: What is another answer behind ``or``; ``or equivalently`` and ``or about 0.33`` say the same one again.
_OR_BEHIND = re.compile(
    rf"[\s$).,]*(?:\\text\{{ ?)?\(?\b(?:{_OR})\b[\s$,}}]*{_MAYBE}"
    r"((?:[-+\\0-9(]|else(?=[\s$]*[.,;!)]|\s*$)|[A-Za-z]\b(?!['\u2019]| [a-z])|(?:some|any|an?other|so|more|less|fewer"
    r"|greater|higher|lower|above|below|not|none|neither|nothing|whatever|both|the other|maybe|perhaps|possibly|zero"
    r"|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)[a-z]*\b)[^\n]{0,200})"
)
_OR_BEFORE = re.compile(
    r"(?:^|[A-Za-z,:(]\s+)\$?(?:[a-z] ?= ?)?([-+]?(?:[0-9.]|\\frac|\\sqrt)[^\s$,;]{0,60}|[A-Z])[\s$),]+or[\s$(]+"
    r"(?:(?:maybe|perhaps|possibly) )?(?:[a-z] ?= ?)?$"
)


def denied_before(text: str) -> bool:
    """Tell whether the text that ends where an answer starts denies it: the answer was only mentioned."""
    plain = _plain(text).rstrip(" :(")
    if text.count("~~") % 2 or _HIDDEN.search(text):
        return True
    if _OTHER_THAN.search(plain) or _NOT_ABROAD.search(plain):
        return True
    words = re.findall(r"[a-z]+|\S", _CLAUSE.split(plain)[-1])
    passed: list[str] = []
    while words:
        word = words.pop()
        if word in _NEGATIONS:  # in "the chance that it does not is" it ends before the verb
            return _FINITE.isdisjoint(passed) or passed[-1] in _OPINION
        if word in _WRONG:  # not in "the chance of a wrong answer is"
            named = passed[-1:] in (["answer"], ["solution"]) and set(words) <= _ARTICLES
            return named or passed[-1:] == ["that"]
        if word not in _SMALL and not (len(word) == 1 and word.isalpha()):
            return False
        passed.append(word)
    return False


def denied_behind(text: str) -> bool:
    """Tell whether the text that starts where an answer ends denies it or asks about it."""
    plain = _plain(text)
    return bool(_DENIED_BEHIND.match(plain) or _UNSAID.search(plain))


def alternative_before(text: str) -> str:
    r"""Give the other value in ``5 or \boxed{6}``, seen from the box; empty when there is none."""
    found = _OR_BEFORE.search(text)
    return found[1] if found else ""


def alternative_behind(text: str) -> str:
    r"""Give what follows in ``\boxed{5} or 6`` and ``\boxed{5} or something else``; empty when nothing such does."""
    found = _OR_BEHIND.match(text)
    return found[1] if found else ""


def _plain(text: str) -> str:
    """Give running text in lower case, contractions in full, without what changes its looks only."""
    plain = text.lower()
    plain = _CONTRACTED[0][0].sub(_CONTRACTED[0][1], plain)
    plain = _MARKUP.sub(" ", plain)
    for pattern, full in _CONTRACTED[1:]:
        plain = pattern.sub(full, plain)
    return plain
