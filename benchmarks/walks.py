"""Pictures of walks: in motion, two VAEs compared, and peers side by side."""

from io import BytesIO

import matplotlib.pyplot as plt
import torch
from PIL import Image
from torchvision.utils import make_grid

plt.switch_backend("agg")


def animate(hw9):
    """Return a GIF of the notebook's twenty walks, to and fro, all images decoded."""
    pairs = torch.cat([hw9.same_pairs, hw9.different_pairs])
    order = torch.arange(20).reshape(2, 2, 5).transpose(0, 1).flatten()  # same: left
    A, B = hw9.test_images[pairs[order].T]
    sheets = []
    with hw9.in_mode(False, hw9.encoder, hw9.decoder):
        mu_A, _ = hw9.encoder(A)
        mu_B, _ = hw9.encoder(B)
        for step in range(25):
            t = step / 24
            images = hw9.decoder((1 - t) * mu_A + t * mu_B).cpu()
            sheet = make_grid(1 - images[:, None], nrow=10, pad_value=1)[0]
            shades = (sheet.clamp(0, 1) * 15).round() * 17  # 16 grays are enough
            sheets.append(Image.fromarray(shades.byte().numpy()))
    frames = sheets + sheets[-2:0:-1]
    gif = BytesIO()
    settings = {"save_all": True, "duration": 80, "loop": 0}
    frames[0].save(gif, "GIF", append_images=frames[1:], **settings)
    return gif.getvalue()


def first_rows(hw9, count):
    """Return the rows (count, 9, 28, 28) of the first pairs of different digits."""
    A, B = hw9.test_images[hw9.different_pairs[:count].T]
    return hw9.create_interpolates(A, B, hw9.encoder, hw9.decoder).cpu()


def strip(row):
    """Return the images of a row (9, 28, 28) side by side, (28, 252)."""
    return torch.cat(list(row), dim=1)


def draw_pairs(results, path):
    """Draw {name: rows (P, 9, 28, 28)}: for each pair, a line for each name."""
    count = len(next(iter(results.values())))
    names = [name for _ in range(count) for name in results]
    strips = [strip(rows[i]) for i in range(count) for rows in results.values()]
    figure, axes = plt.subplots(len(strips), figsize=(7, 0.68 * len(strips)))
    figure.subplots_adjust(0.16, 0.01, 0.99, 0.99)
    for i, (panel, name, image) in enumerate(zip(axes, names, strips, strict=True)):
        panel.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        panel.text(-6, 14, name, ha="right", va="center", size=10)
        panel.axis("off")
        for real in (0, 224):
            frame = {"fill": False, "edgecolor": "black", "clip_on": False}
            panel.add_patch(plt.Rectangle((real - 0.5, -0.5), 28, 28, **frame))
        gap = 0.012 * (i % len(results) - (len(results) - 1) / 2)  # pairs stay together
        box = panel.get_position()
        panel.set_position([box.x0, box.y0 + gap, box.width, box.height])
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_peers(results, path):
    """Draw {name: rows (5, 9, 28, 28)}: five walks side by side, a line a name."""
    figure, axes = plt.subplots(len(results), 5, figsize=(16, 0.36 * len(results)))
    figure.subplots_adjust(0.12, 0, 1, 1, wspace=0.03, hspace=0.06)
    for line, (name, rows) in zip(axes, results.items(), strict=True):
        line[0].text(-8, 14, name, ha="right", va="center", size=11)
        for panel, row in zip(line, rows, strict=True):
            panel.imshow(strip(row), cmap="gray_r", vmin=0, vmax=1)
            panel.axis("off")
    figure.savefig(path, dpi=110)
    plt.close(figure)
