"""What a representation of galaxies is worth: does it recognise an object, is it spread out."""

import numpy as np

#: Rows of the matrix of similarities that are in memory at once.
ROWS = 1024


def on_sphere(vectors: np.ndarray) -> np.ndarray:
    """Vectors [n, d] of length 1, float32; those of length 0 stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1.0)).astype(np.float32)


def retrieval_top1(first: np.ndarray, second: np.ndarray) -> float:
    """Fraction of the objects whose second view is, of all n, the most similar to the first.

    first, second : [n, d], of length 1. Chance is 1 / n; an object that is as similar to another
    one's view counts as lost, so that a representation that is the same for all scores 0.
    """
    found = 0
    for start in range(0, len(first), ROWS):
        similarity = first[start : start + ROWS] @ second.T
        rows = np.arange(len(similarity))
        own = similarity[rows, start + rows]
        similarity[rows, start + rows] = -np.inf
        found += int((own > similarity.max(axis=1)).sum())
    return found / len(first)


def alignment(first: np.ndarray, second: np.ndarray) -> float:
    """Mean squared distance of the two views, 0 to 4 (Wang & Isola 2020, eq. 4, alpha = 2)."""
    return float(np.square(first - second).sum(axis=1, dtype=np.float64).mean())


def uniformity(vectors: np.ndarray) -> float:
    """ln of the mean of exp(-2 distance^2) over all pairs; lower is more spread out, 0 is a point.

    vectors : [n, d], of length 1. Wang & Isola 2020 (arXiv:2005.10242), eq. 5, t = 2.
    """
    total = 0.0
    for start in range(0, len(vectors), ROWS):
        distance2 = 2.0 - 2.0 * vectors[start : start + ROWS] @ vectors.T
        potential = np.exp(-2.0 * np.maximum(distance2, 0.0))
        rows = np.arange(len(potential))
        potential[rows, start + rows] = 0.0
        total += float(potential.sum(dtype=np.float64))
    return float(np.log(total / (len(vectors) * (len(vectors) - 1))))


def representation_report(first: np.ndarray, second: np.ndarray) -> dict[str, float | None]:
    """Numbers of a representation of two views of n objects, [n, d] each; None for n < 2."""
    if len(first) < 2:
        return {"retrieval_top1": None, "alignment": None, "uniformity": None}
    first, second = on_sphere(first), on_sphere(second)
    return {
        "retrieval_top1": retrieval_top1(first, second),
        "alignment": alignment(first, second),
        "uniformity": uniformity(first),
    }
