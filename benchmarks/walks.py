"""Draw figures/interpolation.gif (`make notebook`), and walks of peers for peers.py."""

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from bench import PROJECT, run_cells
from PIL import Image
from torchvision.utils import make_grid

plt.switch_backend("agg")


def draw_animation(path):
    """Draw the notebook's twenty walks in motion, with the weights that are saved."""
    names = {"__name__": "__main__"}
    run_cells(names, "imports", "pairs", {})
    test = names["mnist_test"]
    pairs = torch.cat([names["same_pairs"], names["different_pairs"]])
    A, B = (torch.stack([test[i][0] for i in end]) for end in pairs.T.tolist())
    t = torch.arange(25) / 24
    walks = names["decode_walks"](names["encoder"], names["decoder"], A, B, t)
    order = torch.arange(20).reshape(2, 2, 5).transpose(0, 1).flatten()  # same: left
    images = walks[order].unbind(1)
    frames = []
    for decoded in images + images[-2:0:-1]:
        sheet = make_grid(1 - decoded[:, None], nrow=10, pad_value=1)[0]
        shades = (sheet.clamp(0, 1) * 15).round() * 17  # 16 grays are enough
        frames.append(Image.fromarray(shades.byte().numpy()))
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=80, loop=0)


def five_walks(names):
    """Return the first five walks between two digits, (5, 9, 28, 28)."""
    ends = names["test_images"][names["different_pairs"][:5]]
    A, B = ends.unbind(1)
    t = torch.arange(9) / 8
    walks = names["decode_walks"](names["encoder"], names["decoder"], A, B, t)
    walks[:, 0], walks[:, 8] = A[:, 0], B[:, 0]
    return walks


def draw_peers(results, path):
    """Draw {name: {"images": five walks}}: walks side by side, a line for each name."""
    figure, axes = plt.subplots(len(results), 5, figsize=(16, 0.36 * len(results)))
    figure.subplots_adjust(0.12, 0, 1, 1, wspace=0.03, hspace=0.06)
    for line, (name, row) in zip(axes, results.items(), strict=True):
        line[0].text(-8, 14, name, ha="right", va="center", size=11)
        for panel, walk in zip(line, row["images"], strict=True):
            panel.imshow(torch.cat(list(walk), 1), cmap="gray_r", vmin=0, vmax=1)
            panel.axis("off")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    draw_animation(Path(PROJECT, "figures", "interpolation.gif"))
