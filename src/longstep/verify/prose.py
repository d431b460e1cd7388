# ruff: noqa: RUF001 - colons, stops and letters of other scripts are the point
r"""The answer of a text without a box: what it declares in words, and which part of that sentence is the value.

``The answer is 4, as required.`` declares 4; ``Final Answer: The largest $n$ is 34.`` declares 34, the value of the
sentence. What is hedged or compared (``about 34``, ``at least 34``) keeps these words, so that it equals no number.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from longstep.verify.commitment import REACH, denied_before, denied_behind

_TAIL = 50_000  # characters at the end in which an answer in words is looked for
MAX_DECLARED = 8  # declarations without a value that are passed over
_TAGGED = re.compile(r"<answer>((?:[^<]|<(?!/?answer>)){0,2000})</answer>")
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*\.?")
_IS = (
    r"(?:is|are|was|equals|(?:must|should|will|would) be|(?:comes|works|turns) out (?:to be|to|as))"
)
#: The same words abroad: who declares an answer in Spanish, Portuguese, Italian, French, German, Dutch, Polish, Czech,
#: Turkish, Indonesian, Vietnamese, Russian, Ukrainian, Chinese, Japanese, Korean, Arabic and Hindi.
_ABROAD = r"""
    \b(?:respuesta|resposta|risposta|r[ée]ponse|antwort|antwoord|odpowied[źz]|odpov[eě][ďd]|cevap|yan[ıi]t
    |jawaban(?:nya)?|ответ|відповідь|đáp\ [áa]n|l[öo]sung|soluci[óo]n|soluzione|solu[çc][ãa]o)
    (?:\ (?:final|finale|correcta|correta|corretta|akhir))?\**
    (?:\s*[:：=]|\ (?:es|é|è|est|ist|lautet|to|je|là|adalah|равен|равна|равно|есть|is)\b:?|\ [-—–]\ )
    |(?:答案|答え|回答)(?:是|为|為|等于|は|[:：])+|(?:정답|답)(?:은|:)
    |(?:الجواب|الإجابة|الناتج)(?:\ هو|\ هي|:)|उत्तर(?:\ है|:)
"""
_DECLARED = re.compile(
    rf"""\banswers?\*{{0,2}}(?:\ to\ [^.\n:]{{1,80}}?)?\ {_IS}\b\*{{0,2}}:?
    |\banswers?\*{{0,2}}\ ?[:：=]
    |^[#*_\ \t]{{0,12}}(?:the\ )?(?:final\ )?(?:answer|result|solution)\*{{0,2}}[.:]?\*{{0,2}}[ \t]{{0,8}}$
    |^\#{{4}}(?!\#)(?!\ *(?:final\ answer|answer))
    |{_ABROAD}""",
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
#: What ends a value abroad.
_CLOSING = re.compile(r"\s*(?:です|である|だ|입니다|이다|है)?\s*[。｡．]?\s*$")
#: A value taken back after "the answer is".
_TAKEN_BACK = re.compile(
    r"(?i)\b(?:wait|actually|correction|scratch that|mistake|i was wrong|let me re\w*)\b"
)
#: Where the value of a sentence ends and a remark on it begins.
_REMARK = re.compile(
    r",? (?:since|because)\b| \((?:since|because|as|where)\b|(?:, | \()(?:not|rather than) (?=[-$\\0-9])"
    r"|,? as (?:required|desired|claimed|needed|wanted|expected|stated|asked|requested|shown|promised|was to be"
    r"|we (?:wanted|claimed|saw|found|expected)|can be)\b"
    r"|, (?:which|so|hence|thus|therefore|and we are|completing|after|when|where|with)\b"
)
_AGAIN = re.compile(
    r"(?:,| \(|;)? ?\b(?:i\.\s?e\.|that is|namely|or equivalently|equivalently|in other words),? (?=[-+$\\0-9(])"
)
_EXCLAIMED = re.compile(r"[0-9A-Za-z)]!")
_NUMERIC = re.compile(r"\$?[-+]?[0-9][0-9.,/]*\$?")
_STARTS_WITH_WORD = re.compile(r"(?:the|an?) [A-Za-z]|[A-Za-z]{2,}(?![A-Za-z(\\^_=])")
_COPULA = re.compile(
    rf"\b(?:{_IS}|be|costs?|gives?|yields?|earns?|weighs?|has|have|had|needs?|takes?|contains?)\b"
    r"(?: (?:equal to|exactly|precisely|simply|just|therefore|thus|then|given by|the number))*:?\s+"
    r"|:\s+"
)
#: A formula or a number in a sentence.
_VALUE = re.compile(r"\$[^$]+\$|\\?\$?[-+]?[0-9][0-9.,/]*(?:\\?%)?|\\[A-Za-z]+\{[^ ]*")
_NEGATED = re.compile(r"(?i)(?:\b(?:not|never|cannot|no|hardly)|n['’]t) (?:[a-z]+ )?$")
_PURPOSE = re.compile(r" (?:for|to|from|on|at|if|when|after|before|because|by|so)\b")
_ONE_WORD = re.compile(r"[\"']?[A-Z]?[a-z]+[\"']?|[A-J]|\([A-Ja-j]\)")
_COMPARED = frozenset(
    word
    for line in (
        "not never no about approximately approx around roughly nearly almost least most than over under below above",
        "between less more fewer greater up either or maybe perhaps possibly minus negative half except without if",
        "from of by times per every first second step case part equation",
    )
    for word in line.split()
)
#: A heading on the last level that is no answer: "#### Step 2".
_HEADING = re.compile(r"[*_ ]*[A-Za-z]{3,}")


def declared(text: str, marked: re.Pattern[str]) -> str | None:
    """Give the answer of a text without a box, if the words around it commit to it.

    Args:
        text: the finished part of a completion.
        marked: a mark of answers that comes before all others, with the answer as its group.
    """
    text = text[-_TAIL:]
    for pattern in (marked, _TAGGED):
        if matches := list(pattern.finditer(text)):
            found = matches[-1]
            return _committed(text, found.start(), found.end(), found[1].strip().strip("$* \n"))
    for start in _declarations(text):
        value, at, end = _stated(text, start)
        if value:
            return _committed(text, at, end, value)
        return None
    bold = _BOLD.fullmatch(text.strip().rsplit("\n", 1)[-1].strip())
    return bold[1].strip() or None if bold else None


def _declarations(text: str) -> Iterator[int]:
    """Give where values declared in words may start, the last one first."""
    for found in reversed(deque(_DECLARED.finditer(text), MAX_DECLARED)):
        rest = text[found.end() :]
        if found[0].startswith("####"):
            line, _, following = rest.strip().partition("\n")
            if _HEADING.match(line) and following.strip():
                continue
        if rest.strip(" \t\n*:_"):
            yield found.end()


def _committed(text: str, start: int, end: int, value: str) -> str | None:
    denied = denied_before(text[max(0, start - REACH) : start]) or denied_behind(
        text[end : end + 2 * REACH]
    )
    return None if denied else value or None


def _stated(text: str, start: int) -> tuple[str, int, int]:
    """Give the value at the start of what follows "the answer is", with its place; empty when it is taken back."""
    begin = start + len(text[start:]) - len(text[start:].lstrip(" \t\n:*_"))
    if begin and text[start:begin].endswith("**") and text[begin:].partition("\n")[0].count("**"):
        begin -= 2 * (text[begin:].partition("\n")[0].count("**") % 2)
    rest = text[begin:]
    if _TAKEN_BACK.search(rest):
        return "", begin, begin
    line, _, following = rest.partition("\n")
    if line.strip() in (r"\[", "$$", "$"):  # a formula on lines of its own
        line = following.partition("\n")[0]
    sentence = _CLOSING.sub("", _sentence(_REMARK.split(line, maxsplit=1)[0]))
    value = _again(_value_of(sentence))
    if _EXCLAIMED.fullmatch(value[-2:]):
        value = value[:-1]
    at = text.find(value[:8], begin) if value else begin
    at = max(at, begin)
    return value, at, at + len(value)


def _value_of(sentence: str) -> str:
    """Give the part of a sentence that is its value; the whole where none can be told."""
    if not _STARTS_WITH_WORD.match(sentence.lstrip("*_")):
        return sentence.replace("**", "") if sentence.count("**") == 1 else sentence.strip(" *")
    for copula in reversed(list(_COPULA.finditer(sentence))):
        if _NEGATED.search(sentence, 0, copula.start()):
            return sentence
        rest = sentence[copula.end() :].strip(" *")
        if _VALUE.search(rest) or (_ONE_WORD.fullmatch(rest) and rest.lower() not in _COMPARED):
            return rest.replace("**", "")
    values = list(_VALUE.finditer(sentence))
    if len(values) != 1:
        return sentence
    before = re.findall("[a-z]+", sentence[: values[0].start()].lower())[-3:]
    if not _COMPARED.isdisjoint(before):
        return sentence
    rest = _PURPOSE.split(sentence[values[0].start() :], maxsplit=1)[0]
    return rest.strip(" *").replace("**", "")


def _again(value: str) -> str:
    r"""Read ``\frac14, i.e. 0.25`` as one value written twice: the second has to be the first, or its rounding."""
    parts = _AGAIN.split(value, maxsplit=1)
    if len(parts) < 2 or not parts[0].strip():
        return value
    first, second = (part.strip(" ,)").strip("$") for part in parts)
    sign = r"\approx" if _NUMERIC.fullmatch(second) else "="
    return f"{first} {sign} {second}"


def _sentence(line: str) -> str:
    """Give the first sentence of a line; ``i.e. 0.25`` ends none."""
    for found in re.finditer(r"\. |。|\.\*\* ", line):
        if not re.search(r"\b(?:i\.\s?e|e\.g|approx|sq|cu|ft|in|vs)$", line[: found.start()]):
            line = line[: found.start()]
            break
    return (
        line.strip().removesuffix(".").strip(" *")
        if line.count("**") % 2
        else line.strip().removesuffix(".").strip()
    )
