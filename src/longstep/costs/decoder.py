"""The shape of a decoder, and what follows from it: weights held, weights a token meets, bytes of its cache."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Experts:
    """The MLPs of a mixture: all are held and trained, a token passes few.

    Attributes:
        count: in a layer, besides the shared one.
        used: of them by one token.
        inner: width of each.
        layers: that have them; the others have the dense MLP of the shape.
        shared: width of an MLP that every token passes beside them.
        gated: the shared one has a gate, of one row.
        biased: each has biases, and the router too (GPT-OSS).
    """

    count: int
    used: int
    inner: int
    layers: int
    shared: int = 0
    gated: bool = False
    biased: bool = False


@dataclass(frozen=True)
class Shape:
    """A decoder: grouped-query attention and an MLP, or a mixture of them, in every layer; by default a Qwen2.

    Attributes:
        layers: decoder layers.
        width: hidden size.
        inner: width of the MLP.
        heads: query heads.
        kv_heads: key and value heads.
        vocab: rows of the embedding.
        tied: the output layer shares the embedding.
        head_width: of one head; 0 is ``width // heads``.
        bias: queries, keys and values have biases (Qwen2 yes, Llama no).
        matrices_of_mlp: 3 with a gate, 2 without (GPT-2, GPT-NeoX).
        vectors: weights of one layer that stand in no matrix (norms, biases); ``None`` are two norms and ``bias``.
        outside: weights outside of the layers, the embedding and the output layer; ``None`` is one norm.
        experts: of a mixture; ``None`` is dense.
    """

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    vocab: int
    tied: bool
    head_width: int = 0
    bias: bool = True
    matrices_of_mlp: int = 3
    vectors: int | None = None
    outside: int | None = None
    experts: Experts | None = None

    @property
    def attention_width(self) -> int:
        """Query heads times their width."""
        return self.heads * (self.head_width or self.width // self.heads)

    @property
    def kv_width(self) -> int:
        """Key heads times their width."""
        return self.kv_heads * (self.head_width or self.width // self.heads)

    @property
    def token_inner(self) -> int:
        """Width of the MLPs that one token passes in a layer."""
        own = self.experts
        return self.inner if own is None else own.used * own.inner + own.shared

    @property
    def layer_matrices(self) -> int:
        """Weights held in the matrices of one layer, a mixture's all experts; of the largest, where layers differ."""
        own = self.experts
        mixture = 0 if own is None else self._mixture(own.count)
        dense = 0 if own is not None and own.layers == self.layers else self._mlp(self.inner)
        return self._attention + max(mixture, dense)

    @property
    def matrices(self) -> int:
        """Weights a token is multiplied with: its experts' and all others, and the output layer, not the look-up."""
        return self._matrices(self.experts.used if self.experts else 0)

    @property
    def held_matrices(self) -> int:
        """The same with every expert: what is held, gathered and stepped."""
        return self._matrices(self.experts.count if self.experts else 0)

    @property
    def linear(self) -> int:
        """Weights in linear layers but the output layer; routers and experts are none, what all tokens pass is."""
        sparse = self.experts.layers if self.experts else 0
        shared = sparse * self._mlp(self.experts.shared) if self.experts else 0
        return (
            self.layers * self._attention + (self.layers - sparse) * self._mlp(self.inner) + shared
        )

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self._parameters(self.experts.count if self.experts else 0)

    @property
    def active(self) -> int:
        """The parameters that one token meets."""
        return self._parameters(self.experts.used if self.experts else 0)

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of keys and values in bf16 that one token leaves in the cache."""
        return 2 * 2 * self.layers * self.kv_width

    def read(self, live: float) -> float:
        """Weights that one decoding step of ``live`` sequences reads: each draws its experts, evenly assumed."""
        own = self.experts
        if own is None:
            return self.parameters
        idle = (1 - own.used / own.count) ** live
        return self.parameters - idle * (self.parameters - self._parameters(0))

    @property
    def _attention(self) -> int:
        return 2 * self.width * (self.attention_width + self.kv_width)

    def _mlp(self, inner: int) -> int:
        return self.matrices_of_mlp * self.width * inner

    def _mixture(self, count: int) -> int:
        """The matrices of a layer's router, shared MLP and ``count`` of its experts."""
        own = self.experts
        assert own is not None
        beside = self._mlp(own.shared) + self.width * (own.count + own.gated)
        return beside + count * self._mlp(own.inner)

    def _matrices(self, count: int) -> int:
        sparse = self.experts.layers if self.experts else 0
        mlps = (self.layers - sparse) * self._mlp(self.inner)
        mlps += sparse * self._mixture(count) if sparse else 0
        return self.layers * self._attention + mlps + self.vocab * self.width

    def _parameters(self, count: int) -> int:
        vectors = self.vectors
        if vectors is None:
            vectors = 2 * self.width + (self.attention_width + 2 * self.kv_width) * self.bias
        outside = self.width if self.outside is None else self.outside
        embedding = 0 if self.tied else self.vocab * self.width
        own, biases = self.experts, 0
        if own is not None and own.biased:
            one = (self.matrices_of_mlp - 1) * own.inner + self.width
            biases = own.layers * (own.count + count * one)
        return self._matrices(count) + embedding + self.layers * vectors + biases + outside
