r"""The ladder of equality: cheap and exact rungs first, each of which decides or passes on.

1. ``spelling``: two answers spelt alike.
2. ``number``, 3. ``algebra``, ``intervals``, ``separation``, ``digits``: values (``values``).
4. ``structure``, ``text``, ``choice``, ``time``: lists, tuples, intervals, units, words (``compare``, ``marks``).
5. ``symbolic``: Math-Verify in a worker process (``longstep.verify.symbolic``), for the little that the
   grammar does not read.

Policy. Equality is exact: a rounded decimal is not the fraction, neighbouring long integers differ, nearly one is not
one. A unit, a percent or degree sign and a name (``x =``) may be missing on one side; two of them must agree, and
known units of one dimension are converted. Solution lists have no order, tuples and points have; a bare list keeps the
repeats of the key, sets have none, and a list whose members are all one value is that value; the ends of intervals
matter; equations count up to a non-zero rational factor. ``1:15`` is a ratio unless a side is marked as a time; three
capitals or more are a word; two half-lines joined by ``and`` are what they have in common. Functions are compared
where both are defined, so that ``\ln|x|`` counts as ``\ln x``. Numbers in words and compound amounts (``5 ft 6 in``)
are numbers; a quantity with its value (``m+n = 204``) is that value, an equation in an unknown (``2x = 5``) is not; a
letter with brackets is a function's value where letters usually are (``f(2x)``, ``p(3)``); ``x \equiv 10 \pmod 7`` is
3 modulo 7 and never the number 3; bare letters keep their case, marked choices do not; ``0{,}125`` has a decimal comma.
All members must be there and nothing else, so that a response that hedges (``5 or 6``, ``about 5``) is not equal to one
value. What is too large to evaluate is refused by its size, never by a clock, with one allowance of work for all parts
of two answers.

Reading map, from the text upwards; each module imports only what stands before it.

* ``spelling`` (one spelling), ``tokens``, ``numerals``, ``vocabulary``, ``symbols``: text to tokens. Guarded by the
  pairs ``wrapper``, ``realform``, ``base`` and ``word`` of ``tests/conformance``.
* ``grammar`` (expressions), ``applied`` (functions, sums, integrals), ``several``, ``names``: tokens to a tree of
  ``node``. Pairs ``expression``, ``thread-number``, ``late``.
* ``amounts``, ``units``, ``spoken``, ``marks``: what stands around an expression. Pairs ``unit``, ``time``, ``choice``.
* ``structure`` and ``matrices``: lists, sets, intervals, systems. Pairs ``set``, ``tuple``, ``interval``, ``matrix``.
* ``poly``, ``algebra``, ``functions``, ``forms``: normal forms. ``intervals``, ``separation``, ``values``: proofs of
  equality and difference; ``tolerance`` where one is declared. ``allowance`` bounds all of it. Pairs ``number``.
* ``relations`` and ``compare``: two trees. Pairs ``equation``. ``reading`` puts the first half together, ``equality``
  (above this package) the whole.
"""
