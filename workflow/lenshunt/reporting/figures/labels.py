"""Labels beside points that crowd: each goes where it hides the least."""

import numpy as np
from matplotlib.axes import Axes

#: Width of a character and height of a line, in font sizes; sans serif digits.
CHARACTER, LINE = 0.62, 1.0
# Directions in the order of preference; the length leaves room for a marker.
DIRECTIONS = ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))


def _overlap(boxes: np.ndarray, box: np.ndarray) -> float:
    """Area shared by `box` (left, bottom, right, top) and boxes [n, 4]."""
    width = np.minimum(boxes[:, 2], box[2]) - np.maximum(boxes[:, 0], box[0])
    height = np.minimum(boxes[:, 3], box[3]) - np.maximum(boxes[:, 1], box[1])
    return float((np.clip(width, 0, None) * np.clip(height, 0, None)).sum())


def place_labels(
    points: np.ndarray, labels: list[str], font_points: float, gap_points: float
) -> np.ndarray:
    """[n, 2] offsets, in points, of the centre of each label from its point.

    points : [n, 2] in points. Greedy, in the given order: each label takes the direction in which
    it covers least of the markers (squares of `gap_points` to either side) and earlier labels.
    """
    half = np.full(2, gap_points)
    taken = np.concatenate([points - half, points + half], axis=1)
    offsets = np.empty((len(points), 2))
    for index, (point, label) in enumerate(zip(points, labels, strict=True)):
        size = np.array([CHARACTER * font_points * len(label), LINE * font_points])
        found = []
        for direction in DIRECTIONS:
            offset = np.array(direction) * (gap_points + size / 2)
            box = np.concatenate([point + offset - size / 2, point + offset + size / 2])
            found.append((_overlap(taken, box), offset, box))
        _, offsets[index], box = min(found, key=lambda entry: entry[0])
        taken = np.concatenate([taken, box[None]])
    return offsets


def draw_labels(
    axes: Axes,
    points: np.ndarray,
    labels: list[str],
    colours: list[str],
    font_points: float,
    gap_points: float = 3.0,
) -> None:
    """Write `labels` beside data points [n, 2]; the limits of the axes must be final."""
    figure = axes.get_figure()
    if figure is None or len(points) == 0:
        return
    places = axes.transData.transform(points) * 72.0 / figure.dpi
    offsets = place_labels(places, labels, font_points, gap_points)
    for point, offset, label, colour in zip(points, offsets, labels, colours, strict=True):
        axes.annotate(
            label,
            (float(point[0]), float(point[1])),
            xytext=(float(offset[0]), float(offset[1])),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=font_points,
            color=colour,
            zorder=5,
            annotation_clip=True,
        )
