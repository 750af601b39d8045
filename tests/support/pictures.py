"""What a picture that was written must look like."""

from pathlib import Path

import matplotlib.image
import numpy as np


def assert_is_a_picture(path: Path, parts: int = 3) -> None:
    """It has something in each of its parts from left to right, and nothing at its edges."""
    pixels = matplotlib.image.imread(path)[..., :3]
    height, width, _ = pixels.shape
    assert height > 500 and width > 1000
    for part in np.array_split(pixels, parts, axis=1):
        assert part.std() > 0.03
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert np.all(edge == 1.0)  # a white margin all round: nothing is cut off
