"""Embedding: a learned row for each token."""

import numpy as np

from loom.errors import InputError
from loom.gpu.kernels.embedding import embedding, embedding_backward
from loom.gpu.kernels.move import fill
from loom.layers.base import EVALUATE, Array, Field, Layer, Run, Shape, Weight

MAX_VOCABULARY = 2**24  # whole numbers that float32 keeps apart


class Embedding(Layer):
    """A learned row of values for each token id.

        y[..., :] = W[x[...]]

    x holds whole numbers from 0 to V - 1 as floats, as everything on the wire is. It
    has no gradient: dx is zero.

    Shapes:  x (B, ...), W (V, D) -> y (B, ..., D)
    Cache:   the ids
    Raises:  InputError when x has a value that is no token id
    GPU:     shaders/embedding.wgsl
    Source:  Bengio et al. 2003; as torch.nn.Embedding
    """

    kind = "embedding"
    code = 16
    float_input = True
    fields = (
        Field("vocabulary_size", "VocabularySize", maximum=MAX_VOCABULARY),
        Field("embedding_size", "EmbeddingSize"),
    )
    weights = (Weight("weight", "Weight", "weight"),)

    def __init__(self, vocabulary_size: int, embedding_size: int):
        super().__init__(vocabulary_size=vocabulary_size, embedding_size=embedding_size)

    def weight_shapes(self) -> dict[str, tuple[Shape, int]]:
        """W (V, D), of variance 1 at first."""
        return {"weight": ((self.vocabulary_size, self.embedding_size), 1)}

    def output_shape(self, shape: Shape) -> Shape:
        """(..., D)."""
        return (*shape, self.embedding_size)

    def forward(self, x: Array, run: Run = EVALUATE) -> tuple[Array, Array]:
        """The rows of W."""
        ids = self._ids(x)
        return self.parameters["weight"][ids], ids

    def backward(self, dy: Array, cache: Array, need_dx: bool = True):
        """dW sums dy over the places of each token, in their order: the same bits."""
        dw = np.zeros_like(self.parameters["weight"])
        ids = cache.reshape(-1)
        if ids.size:
            order = np.argsort(ids, kind="stable")
            tokens, starts = np.unique(ids[order], return_index=True)
            rows = dy.reshape(ids.size, -1)[order]
            dw[tokens] = np.add.reduceat(rows, starts)
        dx = np.zeros(cache.shape, dw.dtype) if need_dx else None
        return dx, {"weight": dw}

    def lower_forward(self, b, x):
        """The rows of W; x stays float32 whatever is stored."""
        return embedding(b, x, b.weight(self, "weight")), x

    def lower_backward(self, b, dy, cache, need_dx: bool = True):
        """dW as backward; dx is zero."""
        embedding_backward(b, dy, cache, b.gradient(self, "weight"))
        return fill(b, b.tensor(cache.shape)) if need_dx else None

    def check_values(self, x: Array) -> None:
        """Token ids, or InputError."""
        if not isinstance(x, Array):
            raise InputError(
                "Embedding: token ids are looked at in Python before each pass. Pass "
                "them as an array, not as a GPUArray."
            )
        self._ids(x)

    def _ids(self, x: Array) -> Array:
        """x as whole numbers, or InputError for the first that is none."""
        inside = (x >= 0) & (x < self.vocabulary_size)
        ids = np.where(inside, x, 0).astype(np.int64)
        wrong = ids != x
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise InputError(
                f"Embedding: expected whole token ids from 0 to "
                f"{self.vocabulary_size - 1}, got {x[at]} at index {at}. Set "
                "vocabulary_size, or check the tokens."
            )
        return ids
