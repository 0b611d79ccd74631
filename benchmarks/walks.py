"""Pictures of walks: in motion, two VAEs compared, and peers side by side."""

import matplotlib.pyplot as plt
import torch
from PIL import Image
from torchvision.utils import make_grid

plt.switch_backend("agg")


@torch.no_grad()
def animate(hw9, path):
    """Write a GIF of the notebook's twenty walks, to and fro, all images decoded."""
    decoder = hw9.Sharpened(hw9.plain_decoder, hw9.TEMPERATURE).eval()
    same, different = hw9.choose_pairs(hw9.test_labels.cpu(), 0)
    # Two lines of ten walks: within a digit on the left, between two on the right.
    pairs = torch.cat([same[:5], different[:5], same[5:], different[5:]])
    A, B = hw9.test_images[pairs].unbind(dim=1)
    mu_A = hw9.encoder.eval()(A)[0]
    mu_B = hw9.encoder(B)[0]
    frames = []
    for step in range(25):
        t = step / 24
        images = decoder((1 - t) * mu_A + t * mu_B).cpu()
        sheet = make_grid(1 - images[:, None], nrow=10, pad_value=1)[0]
        shades = (sheet.clamp(0, 1) * 15).round() * 17  # 16 grays are enough
        frames.append(Image.fromarray(shades.byte().numpy()))
    frames += frames[-2:0:-1]
    frames[0].save(path, append_images=frames[1:], save_all=True, duration=80, loop=0)


def first_rows(hw9, count, temperature):
    """Return the rows (count, 9, 28, 28) of the first pairs of different digits."""
    decoder = hw9.Sharpened(hw9.plain_decoder, temperature)
    pairs = hw9.choose_pairs(hw9.test_labels.cpu(), 0)[1][:count]
    A, B = hw9.test_images[pairs].unbind(dim=1)
    return hw9.create_interpolates(A, B, hw9.encoder, decoder).cpu()


def draw_row(panel, row, name):
    """Draw a row (9, 28, 28), side by side, and a name to its left."""
    panel.imshow(torch.cat(list(row), dim=1), cmap="gray_r", vmin=0, vmax=1)
    panel.text(-6, 14, name, ha="right", va="center", size=10)
    panel.axis("off")


def draw_pairs(results, path):
    """Draw {name: rows (P, 9, 28, 28)}: for each pair, a line for each name."""
    count = len(next(iter(results.values())))
    figure = plt.figure(figsize=(7, 0.72 * count * len(results)))
    groups = figure.subfigures(count, hspace=0.02)  # a little space between pairs
    for k in range(count):
        panels = groups[k].subplots(len(results))
        groups[k].subplots_adjust(0.16, 0.04, 0.99, 0.96, hspace=0.06)
        for panel, (name, rows) in zip(panels, results.items(), strict=True):
            draw_row(panel, rows[k], name)
            for left in (0, 224):  # a frame around real images
                frame = {"fill": False, "edgecolor": "black", "clip_on": False}
                panel.add_patch(plt.Rectangle((left - 0.5, -0.5), 28, 28, **frame))
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_peers(results, path):
    """Draw {name: rows (5, 9, 28, 28)}: five walks side by side, a line a name."""
    figure, lines = plt.subplots(len(results), 5, figsize=(16, 0.36 * len(results)))
    figure.subplots_adjust(0.12, 0, 1, 1, wspace=0.03, hspace=0.06)
    for line, (name, rows) in zip(lines, results.items(), strict=True):
        for k in range(5):
            draw_row(line[k], rows[k], name if k == 0 else "")
    figure.savefig(path, dpi=110)
    plt.close(figure)
