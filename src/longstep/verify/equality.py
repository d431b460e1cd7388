r"""``verify``: is this answer the gold answer? The ladder of ``longstep.verify.ladder``, rung by rung."""

from __future__ import annotations

import re
from dataclasses import replace

from longstep.types import Status, Verdict
from longstep.verify.extract import has_box, is_box
from longstep.verify.gold import key_of
from longstep.verify.ladder import compare, marks
from longstep.verify.ladder.allowance import allowance, reserve
from longstep.verify.ladder.forms import forget
from longstep.verify.ladder.node import Node, TooLarge, Unreadable
from longstep.verify.ladder.reading import MAX_CHARS, Reading, read
from longstep.verify.ladder.relations import aligned, settle
from longstep.verify.ladder.spelling import spell
from longstep.verify.ladder.tolerance import Declared, declared, tolerating
from longstep.verify.ladder.values import Judgement
from longstep.verify.pool import NoReply
from longstep.verify.rule import EXACT, Kind, Rule
from longstep.verify.workers import refusal, shared_pool

Omit = compare.Omit
_NUMBERS = ("num", "neg", "div", "add", "mul", "pow", "call", "const", "var")

_PLAIN = re.compile(r"[+-]?[0-9]+")
#: Letters in a row are a word, whose order counts: heads and tails, a ranking, a Roman numeral.
_CAPITALS = re.compile(r"[A-Z]{3,}|[IVX]{2,}|(?=[vx]*i)[ivx]{2,}")
_DIGITS = re.compile(r"[+-]?[0-9]+|[+-]?[0-9]{1,3}(?:,[0-9]{3})+")


def verify(
    *,
    gold: str,
    answer: str,
    kind: Kind | None = None,
    omit: Omit = "either",
    rule: Rule = EXACT,
) -> Verdict:
    """Decide whether an extracted answer equals the gold answer.

    Args:
        gold: the gold answer, LaTeX or plain text; a whole solution is read as its final answer (``gold.key_of``).
        answer: the answer to judge, already extracted (``extract``); a whole completion is refused in words.
        kind: what the gold answer is; ``None`` takes the rule's, and infers it where that has none.
        omit: which side may leave out a unit, a percent sign or a name such as ``x =``. With ``either`` the
            verdict is symmetric: swapping two answers never changes whether it is ``correct``.
        rule: what is declared about keys and answers: a tolerance, what a list of keys means.

    Returns:
        ``correct`` or ``incorrect``; ``unparseable`` when the answer cannot be read or is too large, ``bad_gold`` when
        the gold answer cannot, ``timeout`` when a worker had to be killed. The rung that decided is named.
    """
    if not answer.strip():
        return Verdict("unparseable", None, "the answer is empty", "size")
    kind = kind or rule.kind
    if gold.strip() == answer.strip() and len(gold) <= MAX_CHARS and kind is None:
        return Verdict("correct", answer, "", "spelling")
    try:
        key = key_of(gold, kind)
        judged = [_one(each, answer, kind, omit, rule) for each in key.answers]
        found = judged[0]
        if len(judged) > 1:
            found = _several(key.answers, judged, answer, kind, omit, rule)
        if key.trouble and found.status != "correct":
            return Verdict("bad_gold", answer[:MAX_CHARS], key.reason, "key")
        if found.status in ("incorrect", "unparseable") and is_completion(answer):
            return Verdict("unparseable", answer[:MAX_CHARS], _NO_ANSWER, "size")
        return found
    except (
        Exception
    ) as error:  # a fault of ours says nothing about the model, and must not end a training run
        return Verdict(
            "timeout",
            answer[:MAX_CHARS],
            f"internal error: {type(error).__name__}: {error}",
            "fault",
        )


_NO_ANSWER = "this is a whole completion and no answer; longstep.judge finds the answer in it first"
#: What no extracted answer has: a thought, or a box or mark of an answer with a text before it.
_COMPLETION = re.compile(
    r"</?think|(?m:^####)|<answer>|\banswer(?: is|:)|\n[ \t]{0,8}\n",
    re.IGNORECASE,
)


def is_completion(answer: str) -> bool:
    """Tell whether a text is a completion with the answer somewhere in it, or prose without one."""
    if has_box(answer):
        return not is_box(answer)
    return bool(_COMPLETION.search(answer) or _TWO_SENTENCES.search(answer))


_TWO_SENTENCES = re.compile(r"[a-z)]{2}[.!?]\s{1,4}[A-Z][a-z]*\s")


def _one(gold: str, answer: str, kind: Kind | None, omit: Omit, rule: Rule) -> Verdict:
    """Judge an answer by one member of the key."""
    if not gold:
        return Verdict("bad_gold", answer[:MAX_CHARS], "the gold answer is empty", "size")
    with allowance():
        found = _long(gold, answer) or _climb(gold, answer, kind, omit)
    if rule.tolerance is None or found.status == "correct":
        return found
    with allowance(), tolerating(Declared(rule.tolerance, marks.written_digits(gold))):
        near = _climb(gold, answer, kind, omit)
    if near.status != "correct":
        return found
    return replace(near, reason=f"within the tolerance {rule.tolerance.text}", rung="tolerance")


def _several(
    golds: tuple[str, ...],
    judged: list[Verdict],
    answer: str,
    kind: Kind | None,
    omit: Omit,
    rule: Rule,
) -> Verdict:
    """Judge an answer by a key that is a list: any of its members, or all of them.

    Where nobody said which, an answer counts only if it is right, or wrong, either way.
    """
    some = next((each for each in judged if each.status == "correct"), judged[0])
    if rule.members == "any":
        return some
    joined = "; ".join(golds)
    every = _one(joined, answer, kind, omit, rule)
    if rule.members == "all" or every.status == some.status:
        return every
    reason = (
        f"the gold answer is a list of {len(golds)}: declare members=any or members=all, "
        "as in math(members=any)"
    )
    return Verdict("bad_gold", answer[:MAX_CHARS], reason, "key")


def _long(gold: str, answer: str) -> Verdict | None:
    """Compare where a side is too long to read: as strings and as digits."""
    if len(gold) <= MAX_CHARS and len(answer) <= MAX_CHARS:
        return None
    shown = answer[:MAX_CHARS]
    one, two = gold.strip(), answer.strip()
    if _DIGITS.fullmatch(one) and _DIGITS.fullmatch(two):
        same = _plain(one) == _plain(two)
        return _verdict(Judgement(same, "number", "" if same else "another number"), shown)
    if one == two:
        return Verdict("correct", shown, "", "spelling")
    if len(gold) > MAX_CHARS:
        return Verdict(
            "bad_gold", shown, f"the gold answer is longer than {MAX_CHARS} characters", "size"
        )
    return Verdict("unparseable", shown, f"longer than {MAX_CHARS} characters", "size")


def _plain(digits: str) -> str:
    """Give the one string of a whole number of any length."""
    bare = digits.lstrip("+-0").replace(",", "") or "0"
    return f"-{bare}" if digits[0] == "-" and bare != "0" else bare


def _verdict(found: Judgement, answer: str) -> Verdict:
    status: Status = "correct" if found.equal else "incorrect"
    return Verdict(status, answer, found.reason or ("" if found.equal else "not equal"), found.rung)


def _climb(gold: str, answer: str, kind: Kind | None, omit: Omit) -> Verdict:
    whole = _PLAIN.fullmatch(gold) and _PLAIN.fullmatch(answer) and kind not in ("choice", "text")
    if whole and declared() is None:
        same = _plain(gold) == _plain(answer)
        return _verdict(Judgement(same, "number", "" if same else "another number"), answer)
    ours, theirs = read(gold), read(answer)
    if reason := _unfit(ours, gold, kind):
        return Verdict("bad_gold", answer, reason, "kind")
    if ours.spelt == theirs.spelt:
        return Verdict("correct", answer, "", "spelling")
    found = _marked(gold, answer, ours, theirs, kind, omit)
    if found is not None:
        return found if isinstance(found, Verdict) else _verdict(found, answer)
    if ours.large:
        return Verdict("bad_gold", answer, f"the gold answer: {ours.problem}", "size")
    if theirs.large:
        return Verdict("unparseable", answer, theirs.problem, "size")
    if ours.tree is None or theirs.tree is None:
        return _unread(ours, theirs, gold, answer, kind)
    return _trees(ours, theirs, answer, kind, omit)


def _unfit(reading: Reading, gold: str, kind: Kind | None) -> str:
    """Say why a gold answer is not of the kind it should be."""
    tree = reading.tree
    if kind in (None, "text", "set", "tuple", "interval"):
        return ""
    if kind == "choice":
        letters = _letters(gold)
        return "" if letters else f"gold {gold[:60]!r} is no choice"
    if tree is None or tree.op in ("text", "list", "set", "tuple", "matrix", "union", "empty"):
        return f"gold {gold[:60]!r} is no {kind}"
    if kind == "integer" and _is_fraction(tree):
        return f"gold {gold[:60]!r} is no integer"
    return ""


def _is_fraction(tree: Node) -> bool:
    try:
        value = compare.rational(tree)
    except TooLarge:  # the comparison says so, with its reason
        return False
    return value is not None and value.denominator != 1


def _letters(text: str) -> frozenset[str]:
    """Give the letters of a choice, several of them for a question with several right ones."""
    parts = re.split(r"\s*(?:,|;|\band\b)\s*", marks.unwrapped(spell(text)))
    found = [marks.choice(part) for part in parts]
    return frozenset(each.letter for each in found if each) if all(found) else frozenset()


def _marked(
    gold: str, answer: str, ours: Reading, theirs: Reading, kind: Kind | None, omit: Omit
) -> Judgement | Verdict | None:
    """Compare choices, words, times and dates; ``None`` when they are none of these."""
    if kind == "choice":
        same = _letters(gold) == _letters(answer)
        return Judgement(same, "choice", "" if same else "another choice")
    if kind == "text":
        same = bool(ours.words) and ours.words == theirs.words
        if not same and (found := _dated(spell(gold), spell(answer))):
            return found
        return Judgement(same, "text", "" if same else "another text")
    left, right = spell(gold), spell(answer)
    found = _dated(left, right)
    if found is not None:
        return found
    first, second = marks.unwrapped(left), marks.unwrapped(right)
    if _CAPITALS.fullmatch(first) and _CAPITALS.fullmatch(second):
        return Judgement(first == second, "text", "" if first == second else "other letters")
    one, two = marks.choice(left), marks.choice(right)
    if one and two and (one.marked or two.marked):
        return _choices(one, two, omit)
    if (one and one.rest) or (two and two.rest):
        return _labelled(one, two, gold, answer, omit)
    return None


def _dated(left: str, right: str) -> Judgement | None:
    """Compare times of day and dates."""
    one, two = marks.clock(left), marks.clock(right)
    if one is not None and two is not None and (one[2] or two[2]):
        same = marks.same_clock(one, two)
        return Judgement(same, "time", "" if same else "another time")
    if (one is not None and one[2]) or (two is not None and two[2]):
        return Judgement(False, "time", "only one side is a time of day")
    first, second = marks.date(left), marks.date(right)
    if first is not None and second is not None:
        same = marks.same_date(first, second)
        return Judgement(same, "time", "" if same else "another date")
    return None


def _choices(one: marks.Choice, two: marks.Choice, omit: Omit) -> Judgement | Verdict:
    if one.letter != two.letter:
        return Judgement(False, "choice", "another choice")
    if one.rest and two.rest:
        if _nested(one.rest) or _nested(two.rest):
            return Judgement(False, "choice", "a choice inside of a choice")
        found = verify(gold=one.rest, answer=two.rest, omit=omit)
        if found.status not in ("correct", "incorrect"):
            return found
        same = found.status == "correct"
        return Judgement(same, "choice", "" if same else "the same letter with another value")
    return Judgement(True, "choice")


def _labelled(
    one: marks.Choice | None, two: marks.Choice | None, gold: str, answer: str, omit: Omit
) -> Judgement | Verdict | None:
    """Compare ``(A) 5`` with ``5``: the value counts when the other side has no letter; ``(c)x`` is a product."""
    left = one.rest if one and one.rest and one.apart else gold
    right = two.rest if two and two.rest and two.apart else answer
    if (left is gold and right is answer) or _nested(left) or _nested(right):
        return None
    found = verify(gold=left, answer=right, omit=omit)
    if found.status not in ("correct", "incorrect"):
        return found
    return Judgement(found.status == "correct", "choice", found.reason)


def _nested(rest: str) -> bool:
    """Tell whether what stands behind a letter is such an answer again; it is not read twice."""
    inner = marks.choice(spell(rest))
    return inner is not None and bool(inner.rest)


def _trees(ours: Reading, theirs: Reading, answer: str, kind: Kind | None, omit: Omit) -> Verdict:
    assert ours.tree is not None and theirs.tree is not None
    pairs = [(ours.tree, theirs.tree)]
    if ours.grouped is not None and theirs.tree.op in ("list", "set", "tuple"):
        pairs.append((ours.grouped, theirs.tree))
    if theirs.grouped is not None and ours.tree.op in ("list", "set", "tuple"):
        pairs.append((ours.tree, theirs.grouped))
    verdict = Verdict("incorrect", answer)
    try:
        for left, right in pairs:
            verdict = _compare(left, right, answer, kind, omit)
            if verdict.status == "correct":
                return verdict
    finally:
        for tree in (*pairs[0], *filter(None, (ours.grouped, theirs.grouped))):
            forget(tree)
    if ours.words and ours.words == theirs.words and "text" in (ours.tree.op, theirs.tree.op):
        return Verdict("correct", answer, "", "text")
    return verdict


def _as(kind: Kind | None, tree: Node) -> Node:
    """Read a tree as the kind says: a bare list as a set or as a tuple."""
    if kind == "set":
        tree = settle(tree)
        if tree.op in ("list", "tuple"):
            return Node("set", tree.args)
        return tree if tree.op in ("set", "empty", "named", "union") else Node("set", (tree,))
    if kind == "tuple" and tree.op in ("list", "tuple"):
        return Node("tuple", tree.args)
    if kind == "interval" and tree.op == "list" and all(arg.op in _NUMBERS for arg in tree.args):
        return Node("set", tree.args)  # two numbers are no interval
    return tree


def _compare(left: Node, right: Node, answer: str, kind: Kind | None, omit: Omit) -> Verdict:
    try:
        one, two = aligned(_as(kind, left), _as(kind, right))
        return _verdict(compare.same(one, two, omit), answer)
    except TooLarge as error:
        rung, reason = "size", str(error)
    except Unreadable as error:
        rung, reason = "structure", str(error)
    with reserve():
        ours = compare.trouble(left)
    if ours:  # by itself: an answer never makes a gold bad
        return Verdict("bad_gold", answer, f"the gold answer: {ours}", rung)
    return Verdict("unparseable", answer, reason, rung)


def without_value(gold: str) -> str:
    """Say why a gold answer that is read has no value of its own, such as 1/0; empty when it has one."""
    if len(gold) > MAX_CHARS or (tree := read(gold).tree) is None:
        return ""
    try:
        with reserve():
            return compare.trouble(tree)
    finally:
        forget(tree)


def _unread(ours: Reading, theirs: Reading, gold: str, answer: str, kind: Kind | None) -> Verdict:
    """Compare where a side is no mathematics we read: as words, then by the last rung."""
    if ours.words and ours.words == theirs.words:
        return Verdict("correct", answer, "", "text")
    readable = all(each.tree is not None or each.foreign for each in (ours, theirs))
    if readable and refusal(gold) is None and refusal(answer) is None:
        return _symbolic(gold, answer)
    if ours.tree is None:
        reason = f"the gold answer cannot be read ({ours.problem})"
        return Verdict("bad_gold", answer, reason, "text")
    return Verdict("unparseable", answer, theirs.problem, "text")


def _symbolic(gold: str, answer: str) -> Verdict:
    try:
        status, reason = shared_pool().call(gold, answer)
    except NoReply as error:
        return Verdict("timeout", answer, str(error), "symbolic")
    return Verdict(status, answer, reason, "symbolic")
