"""The overlap engine: classes of matches, spans, files, and that nothing depends on how texts are batched."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longstep.config import UserError, ValidationError
from longstep.curate.normalise import fold, place, rewrite, words
from longstep.curate.overlap import Index, Item, Overlap, Thresholds
from longstep.curate.overlap.answers import agreement, hashed, plain
from longstep.curate.overlap.features import PAIR, features
from longstep.curate.overlap.tokens import tokenise
from longstep.curate.overlap.wording import LETTER, NUMBER

TRAIN = (
    "A freight train leaves Lisbon at a speed of 72 kilometres per hour, and 35 minutes later a courier on a motorcycle "
    "follows it at 118 kilometres per hour along a parallel road. After how many minutes does the courier overtake the train?"
)
MATRIX = r"Let $M=\begin{pmatrix}\dfrac{3}{7}&-2\\5&\sqrt{11}\end{pmatrix}$ and let $\zeta$ be an eigenvalue of $M^{2}$. Determine the trace of $M^{2}+\zeta M$."
WORD = "Determine the number of ways to arrange the letters of the word BANANA."
SHORT = "What is 12+7?"
SYMBOLS = "((?)) ~ ((?))"
ITEMS = [
    Item("exam", "train", TRAIN),
    Item("exam", "matrix", MATRIX),
    Item("exam", "word", WORD),
    Item("quiz", "short", SHORT),
    Item("quiz", "symbols", SYMBOLS),
]


@pytest.fixture(scope="module")
def index() -> Index:
    return Overlap().build(ITEMS)


def kinds(index: Index, text: str) -> dict[str, str]:
    return {match.item: match.kind for match in index.scan([text])[0]}


PLANTED = {
    "verbatim": (TRAIN, "train", "identical"),
    "case and space": (TRAIN.upper().replace(" ", "  "), "train", "identical"),
    "suffix": (TRAIN + " Express your answer as a common fraction.", "train", "identical"),
    "instruction": (
        TRAIN + " Let's think step by step and output the final answer within \\boxed{}.", "train", "identical",
    ),
    "embedded": (
        f"Here is a puzzle of my uncle, who drives 9 lorries. {TRAIN} Also say which of the 3 roads is best, and why.",
        "train", "identical",
    ),
    "renumbered": (TRAIN.replace("72", "64").replace("118", "97").replace("35", "20"), "train", "numbers_changed"),
    "reworded": (
        "A freight train departs from Lisbon travelling at 72 kilometres per hour. A courier on a motorcycle starts 35 minutes "
        "later and follows on a parallel road at 118 kilometres per hour. How many minutes until the courier overtakes the train?",
        "train", "reworded",
    ),
    "respelt": (
        r"Let \(M = \left(\begin{matrix} \frac37 & -2 \\ 5 & \sqrt{11} \end{matrix}\right)\) and let \(\zeta\) be an eigenvalue "
        r"of \(M^2\). Determine the trace of \(M^2 + \zeta \, M\).",
        "matrix", "reworded",
    ),
    "respelt, words kept": (
        r"Let \[M = \begin{pmatrix} {\frac 3 7} & -2 \\ 5 & \sqrt 11 \end{pmatrix}\] and let $\zeta$ be an eigenvalue of $M^2$. "
        r"Determine the trace of $M^2+\zeta\,M.$",
        "matrix", "identical",
    ),
    "short": ("what is $12 + 7$ ?", "short", "identical"),
    "short, renumbered": ("What is 5+88?", "short", "numbers_changed"),
    "symbols only": ("((?))~((?))", "symbols", "identical"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_planted_questions_get_their_class(index: Index, name: str) -> None:
    text, item, kind = PLANTED[name]
    assert kinds(index, text).get(item) == kind


@pytest.mark.parametrize(
    "text",
    [
        "Determine the number of ways to arrange the letters of the word OCTOPUS.",
        "What is the value of 12+9?",
        "Tell me: what is 12+7? Then explain the history of addition.",  # too common a phrase to forbid inside others
        "A train leaves Madrid at noon. After how many minutes does it arrive?",
        "What is 5-88?",
        "((!)) ~ ((?))",
        "",
        "   ",
    ],
)
def test_similar_but_clean_rows_are_not_the_same(index: Index, text: str) -> None:
    assert not {"identical", "reworded"} & set(kinds(index, text).values())


def test_a_stock_phrase_is_never_the_same() -> None:
    stock = "What is the value of $x$ if $x$ and $y$ are relatively prime positive integers? Find $m+n$."
    index = Overlap().build(
        [Item("b", str(n), stock.replace("$y$", f"${c}$")) for n, c in enumerate("abcdefgh")]
    )
    for text in (
        "What is the value of $z$?",
        "What is the value of",
        "where m and n are relatively prime positive integers",
    ):
        assert not {"identical", "reworded"} & set(kinds(index, text).values()), text


def test_spans_point_at_the_users_characters(index: Index) -> None:
    before, after = "Überschrift: ½ — наука 数学. ", " Danke schön & 5² more."
    for question in (TRAIN, MATRIX):
        (match,) = [m for m in index.scan([before + question + after])[0] if m.kind == "identical"]
        cut = (before + question + after)[match.span[0] : match.span[1]]
        assert words(cut) == words(question)
        assert question.startswith(cut[:10]) and match.text == question and match.score == 1.0
    text = "First some other sentence here. " + PLANTED["reworded"][0]
    match = next(m for m in index.scan([text])[0] if m.item == "train")
    assert match.span[0] >= 32 and match.span[1] <= len(text)  # nothing of the first sentence
    assert "Lisbon" in text[slice(*match.span)] and "motorcycle" in text[slice(*match.span)]


def test_the_longest_texts_are_read_to_their_end(index: Index) -> None:
    filler = "lorem ipsum dolor sit amet " * 40_000  # 1,080,000 characters
    text = filler + TRAIN + filler[:1000]
    (match,) = index.scan([text])[0]
    assert match.kind == "identical" and text[slice(*match.span)] == TRAIN[:-1]


def test_batches_do_not_matter(index: Index) -> None:
    texts = [text for text, _, _ in PLANTED.values()] + [
        "",
        "plain",
        "\x00 nul \x00",
        "a" * 3000,
    ] * 70
    random.Random(3).shuffle(texts)
    together = index.scan(texts)
    assert together == [index.scan([text])[0] for text in texts]
    assert index.scan([]) == []


def test_an_index_is_its_file_and_its_fingerprint(index: Index, tmp_path: Path) -> None:
    index.save(tmp_path / "index")
    index.save_fingerprint(tmp_path / "print")
    texts = [text for text, _, _ in PLANTED.values()]
    assert Index.load(tmp_path / "index").scan(texts) == index.scan(texts)
    blind = Index.load(tmp_path / "print")
    assert [item.text for item in blind.items] == [None] * len(ITEMS)

    def seen(one: Index) -> list[list[tuple[str, str, str, float, tuple[int, int]]]]:
        return [
            [(m.benchmark, m.item, m.kind, m.score, m.span) for m in row] for row in one.scan(texts)
        ]

    assert seen(blind) == seen(index)
    blind_rows: Any = blind.ledger()["benchmarks"]
    rows: Any = index.ledger()["benchmarks"]
    assert blind_rows["exam"] == {**rows["exam"], "with_text": 0}
    data = (tmp_path / "print").read_bytes()
    assert b"Lisbon" not in data and b"lisbon" not in data
    with pytest.raises(UserError, match="exam is known by its fingerprint only"):
        blind.shares_ngram(["x"], 8)


def test_merged_indexes_find_what_each_finds() -> None:
    parts = [Overlap().build([item]) for item in ITEMS]
    whole, merged = Overlap().build(ITEMS), Overlap().merged(parts)
    texts = [text for text, _, _ in PLANTED.values()]
    assert merged.items == whole.items
    assert merged.scan(texts) == whole.scan(texts)
    assert Overlap().build([]).scan(texts) == [()] * len(texts)


def test_a_broken_file_is_one_sentence(tmp_path: Path) -> None:
    for name, content in {"text": b"hello", "empty": b"", "zip": b"PK\x03\x04 nothing"}.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(UserError, match="not an index or fingerprint"):
            Index.load(path)


def test_an_old_format_is_refused_in_one_sentence(index: Index, tmp_path: Path) -> None:
    path = tmp_path / "print"
    index.save_fingerprint(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    head = bytes(arrays["head"]).replace(b'"format": 3', b'"format": 2')
    with path.open("wb") as file:
        np.savez(file, **{**arrays, "head": np.frombuffer(head, np.uint8)})
    with pytest.raises(UserError, match=r"print: format 2, this longstep reads 3; build it again$"):
        Index.load(path)


def plain_ngrams(texts: list[str], n: int) -> set[tuple[str, ...]]:
    token = re.compile(r"[a-z]+|[0-9\x01]+|[-+*/^=<>!%]")
    found: set[tuple[str, ...]] = set()
    for text in texts:
        each = token.findall(text.lower())
        found |= {tuple(each[k : k + n]) for k in range(len(each) - n + 1)}
    return found


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13])
def test_shared_ngrams_against_sets_of_tuples(n: int) -> None:
    maker = random.Random(n)
    vocabulary = ["alpha", "beta", "x", "12", "+", "gamma", "7", "=", "$", "\\frac"]

    def text() -> str:
        return " ".join(maker.choices(vocabulary, k=maker.randrange(0, 25)))

    benchmark, rows = [text() for _ in range(40)], [text() for _ in range(2500)]
    index = Overlap().build(Item("b", str(k), each) for k, each in enumerate(benchmark))
    grams = plain_ngrams(benchmark, n)
    expected = [bool(plain_ngrams([row], n) & grams) for row in rows]
    assert index.shares_ngram(rows, n).tolist() == expected
    assert index.shares_ngram([], n).tolist() == []


def test_tokens_are_the_words() -> None:
    texts = [text for text, _, _ in PLANTED.values()] + [
        "",
        "Zwölf 3.50 and 1,000,000 = 10^6",
        "seven 7 0.5 .5",
    ]
    tokens = tokenise(texts)
    first, last = tokens.bounds[:-1], tokens.bounds[1:]
    assert (last - first).tolist() == [len(words(text)) for text in texts]
    by_word: dict[str, set[int]] = {}
    for text, a, b in zip(texts, first, last, strict=True):
        for word, value in zip(words(text), tokens.hashes[a:b].tolist(), strict=True):
            by_word.setdefault(word, set()).add(value)
    assert all(len(values) == 1 for values in by_word.values())
    assert len({value for values in by_word.values() for value in values}) == len(by_word)
    numbers = {w for w in by_word if w[0].isdigit() or w[0] == "."}
    marked = set(tokens.hashes[tokens.classes == NUMBER].tolist())
    assert marked == {value for word in numbers for value in by_word[word]}


def test_features_count_words_and_pairs() -> None:
    # words: red(2) hot ice; pairs of neighbours: 3; 6 different features, one of them twice
    found = features(tokenise(["red hot red ice", ""]))
    assert sorted(found.counts.tolist()) == [1, 1, 1, 1, 1, 2]
    assert found.bounds.tolist() == [0, 6, 6]
    renumbered = features(tokenise(["add 5 to 17", "add 9 to 21"]))
    one, two = (set(renumbered.hashes[a:b].tolist()) for a, b in ((0, 7), (7, 14)))
    assert len(one & two) == 2 + 3  # both words, and all pairs: a number is any number there


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\dfrac12 + \frac{3}{4}", "/ 1 2 + / 3 4"),
        (r"$\left( x^{2} \right)$ \, \cdot \text{cm}", "x ^ 2 * cm"),
        (r"\[ 1{,}000 = 10,\!000 \]", "1000 = 10000"),
        ("3.50 and 0.5 and 5.00 and 10.25", "3.5 and .5 and 5 and 10.25"),
        ("x² ≥ 30° \N{MINUS SIGN} π", "x ^ 2 ge 30 deg - pi"),
        (r"x^2 \geq 30^\circ - \pi", "x ^ 2 ge 30 ^ deg - pi"),
        ("three dots ... four", "3 dots 4"),
        ("Find x. Express your answer as a decimal.", "find x"),
        ("Find x. Put your final answer within \\boxed{}.", "find x"),
        ("See [asy] draw(a--b); [/asy] it", "see DRAWING it"),
        (r"a \textbf{and} b \begin{align*} c \end{align*}", "a and b c"),
    ],
)
def test_normal_form(text: str, expected: str) -> None:
    if "[asy]" in text:
        expected = expected.replace("DRAWING", words(text)[1])
        same, other = text.replace("; ", ";"), text.replace("a--b", "a--c")
        assert words(text)[1] == words(same)[1] != words(other)[1]
    assert " ".join(words(text)) == expected


def test_choices_are_one_word_whatever_their_order() -> None:
    pick = "Pick: (A) red (B) $3$ (C) green (D) none"
    first, choices = words(pick)
    assert first == "pick" and choices.isalpha()
    assert words("Pick: (A) none (B) red (C) 3 (D) green") == ("pick", choices)
    assert words(pick.replace("red", "blue"))[1] != choices
    assert words("Pick: A) red\nB) 3\nC) green\nD) none") == ("pick", choices)
    assert words("Let f(A) = 1, g(B) = 2, (C) and (D)")[0] == "let" and "f" in words(
        "f(A) = 1, g(B) = 2, (C), (D)"
    )


def test_rewriting_keeps_every_place() -> None:
    maker = random.Random(11)
    pieces = ["\\frac12", "1,000", "0.50", "5.00", "...", "\\dfrac", "[asy] x [/asy]", "express your answer in cm", "\\cdot",
              "(a) 1 (b) 2 (c) 3 (d) 4", "\\leq", "\\begin{align*}", "word", " ", "$", ".", ",", "7", "\x00", "é", "½", "数"]  # fmt: skip
    for _ in range(300):
        text = "".join(maker.choices(pieces, k=12))
        folded = fold(text).encode("ascii")
        assert len(rewrite(folded)) == len(folded)
        assert place(text, (0, len(folded))) == (0, len(text)) or not folded


def test_place_leads_back_through_folding() -> None:
    text = "½é数x"  # each of the first three is longer or shorter in ASCII
    at = fold(text).index("x")
    assert place(text, (at, at + 1)) == (3, 4)


def test_thresholds_are_strict_and_matter() -> None:
    eager = Overlap(thresholds=Thresholds(same=-10.0)).build(ITEMS)
    assert (
        kinds(eager, "Determine the number of ways to arrange the letters of the word OCTOPUS.")[
            "word"
        ]
        == "reworded"
    )
    assert np.isfinite(Thresholds().same)
    with pytest.raises(ValidationError, match="remove"):
        Overlap.model_validate({"remove": ["paraphrased"]})


ANSWER_FORMS = {
    "same value": [r"\frac{1}{2}", "1/2", r"\dfrac12", "0.5", ".50", "2/4", r"$\frac{2}{4}$", "x = 1/2"],
    "thousands": ["1,234", "1{,}234", r"1,\!234", "1234.0", r"\$1,234", r"1234\text{ cm}", "1234 (apples)"],
    "mixed": [r"3\frac{1}{2}", "7/2", "3.5"],
    "degrees": [r"90^\circ", "90", r"90^{\circ}"],
    "pi": [r"50\pi", r"50 \pi"],
    "root": [r"\frac{18\sqrt{2}}{5}", r"\dfrac {18 \sqrt {2}}{5}"],
    "pair": [r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"],
    "word": [r"\text{Evelyn}", "Evelyn", "evelyn."],
    "minus": [r"-\frac{2}{3}", "-2/3", r"- \dfrac {2} {3}"],
}  # fmt: skip


def test_spellings_of_an_answer_are_one_and_values_are_not() -> None:
    forms = {name: {plain(each) for each in spelt} for name, spelt in ANSWER_FORMS.items()}
    assert {name: len(each) for name, each in forms.items()} == dict.fromkeys(forms, 1)
    assert len(set[str | None]().union(*forms.values())) == len(forms)
    assert plain(None) is None and plain(" ") is None and plain("because " * 40) is None
    assert plain("1/0") == "1/0"


@pytest.mark.parametrize(
    "text",
    ["4" + "a" * 100 + "!", "{" * 120, r"\frac" * 24, "1" + ",111" * 29 + "x", "(" * 119 + "/"],
)
def test_no_answer_takes_long(text: str) -> None:
    start = time.process_time()
    plain(text)
    assert time.process_time() - start < 0.05


@pytest.mark.parametrize(
    ("row", "item", "sign"),
    [
        ("1/2", "0.5", 1),
        ("3", "4", -1),
        ("7/18", "25", 0),  # perhaps "find m + n": no difference, and no proof
        ("25", "7/18", 0),
        ("616", r"11\sqrt{5}+11", -1),  # the integers add up to 27
        (None, "4", 0),
        ("4", None, 0),
        ("(B)", "4", 0),
        ("(B)", "C", -1),
        ("B", r"\text{(B)}", 0),  # one in five by chance
        ("x", "y", -1),
    ],
)
def test_answers_agree(row: str | None, item: str | None, sign: int) -> None:
    assert agreement(hashed([row]), hashed([item])).tolist() == [sign]


def test_letters_and_names_are_compared_up_to_a_renaming() -> None:
    one, other = (
        features(
            tokenise(
                [
                    "In triangle ABC, AB = 5 and a point D is on BC; let $x = AD$.",
                    "In triangle PQR, PQ = 5 and a point S is on QR; let $t = PS$.",
                ]
            )
        ),
        features(tokenise(["a", "Each boy has a dog.", "$a$ is a number"])),
    )
    first, last = one.bounds[:-1], one.bounds[1:]
    pairs = [
        set(one.hashes[a:b][one.tags[a:b] == PAIR].tolist())
        for a, b in zip(first, last, strict=True)
    ]
    assert pairs[0] == pairs[1]
    counts = [
        sorted(one.counts[a:b][one.tags[a:b] == LETTER]) for a, b in zip(first, last, strict=True)
    ]
    assert counts[0] == counts[1] == [1, 2, 2, 3, 3]  # x; C, D; A, B; the article is none of them
    letters = np.bincount(other.docs()[other.tags == LETTER], minlength=3)
    assert letters.tolist() == [1, 0, 1]


RENAMED = (
    "Let $a$ and $b$ be numbers with $a^3 + 2ab = 17$ and $b^3 - 5a = 11$. Determine the remainder of $a^2 + 7b$ by 13.",
    "Let $u$ and $v$ be numbers with $u^3 + 2uv = 17$ and $v^3 - 5u = 11$. Determine the remainder of $u^2 + 7v$ by 13.",
)


def test_a_renamed_question_is_reworded() -> None:
    index = Overlap().build([Item("b", "0", RENAMED[0])])
    assert kinds(index, RENAMED[1]) == {"0": "reworded"}
    assert kinds(index, RENAMED[1].replace("17", "23")) == {"0": "numbers_changed"}


@pytest.mark.parametrize(
    ("spelt", "digits"),
    [
        ("twenty-five apples", "25 apples"),
        ("twenty five apples", "25 apples"),
        ("three hundred and thirteen", "300 and 13"),
        ("seventy percent", "70 %"),
        ("twenty-two thousand", "22000"),
        ("the seventh", "the 7"),
        ("one apple", "one apple"),
        ("ninety - 2", "90 - 2"),
    ],
)
def test_number_words_are_numbers(spelt: str, digits: str) -> None:
    # neighbours in a batch must not lend their words
    both = features(tokenise(["ninety", spelt, "five", "ninety", digits, "five"]))
    words = [
        [(h, t) for h, t in zip(both.hashes[a:b], both.tags[a:b], strict=True) if t != PAIR]
        for a, b in ((both.bounds[1], both.bounds[2]), (both.bounds[4], both.bounds[5]))
    ]
    assert words[0] == words[1]


CARDS = "Two cards are dealt from a standard deck of 52 cards, one after the other. What is the probability that the first is a spade and the second a heart?"
LIKE_CARDS = "From a standard deck of 52 cards two are dealt. What is the probability of the first card being a spade and of the second one being a club?"


def test_the_answer_decides_where_words_leave_it_open(tmp_path: Path) -> None:
    built = Overlap().build([Item("exam", "cards", CARDS, r"\frac{13}{204}")])
    built.save(tmp_path / "index")
    built.save_fingerprint(tmp_path / "print")
    others = [Overlap().build([Item("z", "train", TRAIN, "55")])]
    loaded = [Index.load(tmp_path / "index"), Index.load(tmp_path / "print")]
    score = _score(CARDS, LIKE_CARDS)
    limits = Thresholds(same_answer=score - 0.1, same=score + 0.1, other_answer=score + 0.2)
    for index in [built, *loaded, *[each.merged(*others) for each in (built, *loaded)]]:
        index.thresholds = limits

        def same(text: str, answer: str | None, index: Index = index) -> bool:
            (matches,) = index.scan([text], [answer])
            return any(m.item == "cards" and m.kind in ("identical", "reworded") for m in matches)

        assert same(LIKE_CARDS, "13/204")
        assert not same(LIKE_CARDS, None) and not same(LIKE_CARDS, "1/17")
        assert same(CARDS, "1/17"), "a wrong key does not make a copy clean"
        assert index.scan([LIKE_CARDS]) == index.scan([LIKE_CARDS], [None])


def test_equal_answers_prove_nothing_when_most_words_differ() -> None:
    question = "Determine the number of ways to arrange the letters of the word ELLIPSE."
    row = 'How many distinct arrangements of the letters in the word "balloon" are there?'
    for agreed, same in ((0.0, True), (Thresholds().agreed, False)):
        limits = Thresholds(agreed=agreed, same_answer=-6.0)
        index = Overlap(thresholds=limits).build([Item("exam", "0", question, "1260")])
        found = index.scan([row], ["1260"])[0]
        assert any(match.kind == "reworded" for match in found) == same


def _score(question: str, row: str) -> float:
    """The score between two thresholds that tell the pair apart, by bisection."""
    low, high = 0.0, 10.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        index = Overlap(thresholds=Thresholds(same=middle)).build([Item("b", "0", question)])
        found = kinds(index, row).get("0") == "reworded"
        low, high = (middle, high) if found else (low, middle)
    return low


def test_batches_keep_answers_with_their_texts() -> None:
    index = Overlap().build([Item("exam", "cards", CARDS, "13/204")])
    texts = [LIKE_CARDS, "plain", CARDS] * 200
    answers = ["13/204", "5", "1/17", "1/17", None, "13/204"] * 100
    together = index.scan(texts, answers)
    assert together == [index.scan([t], [a])[0] for t, a in zip(texts, answers, strict=True)]


def test_other_numbers_are_not_an_omission() -> None:
    # all numbers of the question stand in the row, among twice as many others
    index = Overlap(thresholds=Thresholds(same=0.0)).build(
        [Item("b", "0", "Simplify the expression a3b+4c+4d-5e completely.")]
    )
    row = "Simplify the expression a3b-4c-4d+5e+9f-8g-6h+7i+9 completely."
    assert kinds(index, row).get("0") in (None, "numbers_changed", "shared_template")


def test_another_drawing_is_no_other_number() -> None:
    asy = ' [asy] draw((0,0)--(%d,0)); label("$A$",(0,0),S); [/asy]'
    index = Overlap().build([Item("b", "0", TRAIN + asy % 7)])
    assert kinds(index, TRAIN + asy % 8) == {"0": "reworded"}
    assert kinds(index, TRAIN + asy % 7) == {"0": "identical"}
