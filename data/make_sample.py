"""Make data/sample: 5,000 training and 1,000 test images, in MNIST's own raw format.

The digits are drawn from fonts that matplotlib ships, each with a random slant,
rotation, size, stroke width and elastic distortion, so that the notebook and its tests
can run without a network.
Run: python data/make_sample.py
"""

import struct
import sys
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath
from matplotlib.transforms import IdentityTransform
from tqdm import tqdm

FONTS = [
    "DejaVuSans",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralItalic",
    "cmr10",
    "cmss10",
    "cmtt10",
]
SIDE = 28  # pixels of an image's side
SCALE = 4  # drawn this many times larger, then averaged down: soft edges like MNIST's


def outline(digit, font):
    """Return the outline of one digit, centred, with its longer side 1 long."""
    file = Path(get_data_path(), "fonts", "ttf", f"{font}.ttf")
    text = TextPath((0, 0), str(digit), size=100, prop=FontProperties(fname=file))
    # Four times the vertices, so that the distortion can bend straight strokes too.
    path = Outline.make_compound_path(
        *(Outline(p).interpolated(4) for p in text.to_polygons())
    )
    low, high = path.vertices.min(0), path.vertices.max(0)
    return Outline((path.vertices - (low + high) / 2) / (high - low).max(), path.codes)


def distort(points, rng):
    """Bend points (n, 2) by a smooth random field; slant, rotate and stretch them."""
    for _ in range(3):
        wave, phase = rng.normal(0, 3, (2, 2)), rng.uniform(0, 2 * np.pi, 2)
        points = points + rng.normal(0, 0.025, 2) * np.sin(points @ wave + phase)
    angle, slant = rng.normal(0, 0.12), rng.normal(0.1, 0.2)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return points @ np.array([[1, 0], [slant, 1]]) @ turn * rng.uniform(0.85, 1.15, 2)


def draw(path, rng):
    """Return an image (28, 28) of uint8, white on black, centred by its mass."""
    points = distort(path.vertices, rng)
    # As MNIST's: at most 20 pixels high or wide.
    points *= 20 / (points.max(0) - points.min(0)).max()
    side = SIDE * SCALE
    renderer = RendererAgg(side, side, 72)
    pen = renderer.new_gc()
    pen.set_linewidth(rng.uniform(0.2, 1.6) * SCALE)
    pen.set_foreground("black")
    shape = Outline(points * SCALE + side / 2, path.codes)
    renderer.draw_path(pen, shape, IdentityTransform(), (0, 0, 0))
    ink = np.asarray(renderer.buffer_rgba())[..., 3].astype(float)
    image = ink.reshape(SIDE, SCALE, SIDE, SCALE).mean((1, 3))
    centre = (np.indices(image.shape) * image).sum((1, 2)) / image.sum()
    shift = np.rint((SIDE - 1) / 2 - centre).astype(int)
    return np.roll(image, shift, (0, 1)).round().astype(np.uint8)


def make_split(count, seed):
    """Return images (count, 28, 28), labels (count,), uint8; i depends on (seed, i)."""
    outlines = [[outline(digit, font) for font in FONTS] for digit in range(10)]
    images, labels = np.empty((count, SIDE, SIDE), np.uint8), np.empty(count, np.uint8)
    for i in tqdm(range(count), desc=f"seed {seed}", file=sys.stdout):
        rng = np.random.default_rng([seed, i])
        labels[i] = rng.integers(10)
        images[i] = draw(outlines[labels[i]][rng.integers(len(FONTS))], rng)
    return images, labels


def write_split(folder, prefix, images, labels):
    """Write a split as MNIST's two raw files: a big-endian header, then the bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">4I", 2051, *images.shape)
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
    header = struct.pack(">2I", 2049, len(labels))
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())


if __name__ == "__main__":
    raw = Path(__file__).parent / "sample" / "MNIST" / "raw"
    write_split(raw, "train", *make_split(5000, seed=0))
    write_split(raw, "t10k", *make_split(1000, seed=1))
