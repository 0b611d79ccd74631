"""Walks between codes: what two judges say of them, and pictures."""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from cells import CELLS, PROJECT, QUICK
from read_notebook import run_cell
from torch.nn.functional import pad
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

plt.switch_backend("agg")
FIGURES = Path(tempfile.mkdtemp()) if QUICK else PROJECT / "figures"
TIMES = 20 if QUICK else 250  # ten pairs each


def decode_for_lines(hw9, share):
    """Return the decoder that the notebook makes of its VAE for a MOVED_SHARE.

    It is the notebook's from now on, and so is the share."""
    hw9.MOVED_SHARE = share
    run_cell(CELLS["Radius"], "Radius", vars(hw9))
    return hw9.decoder


def sharpness(images):
    """Return the mean squared Laplacian of images (N, 28, 28)."""
    across = images.diff(n=2, dim=2)  # (N, 28, 26)
    down = images.diff(n=2, dim=1)  # (N, 26, 28)
    laplacian = across[:, 1:-1] + down[:, :, 1:-1]  # (N, 26, 26)
    return laplacian.square().mean()


def judge_rows(hw9, rows, digits, reference, judge):
    """Return {measure: number} of rows (P, 9, 28, 28) between digits (P, 2)."""
    found = hw9.measure(rows, digits, reference, judge)
    features, _ = hw9.ask(judge, rows)
    features = features.reshape(len(rows), 9, -1)
    steps = features.diff(dim=1).norm(dim=2)  # (P, 8)
    longest = steps.amax(dim=1)
    length = steps.sum(dim=1)
    middle = sharpness(rows[:, 4])
    real = sharpness(reference[:, 0])
    return {
        "half way": found["half way"].item(),
        "switches once": found["switches once"].item(),
        "sharpness": (middle / real).item(),
        "longest step": (longest / length).mean().item(),
    }


@torch.no_grad()
def error_at_ends(images, encoder, decoder):
    """Return the squared error of images decoded from their codes, a mean."""
    mu, _ = encoder(images)
    decoded = decoder(mu)
    error = decoded.reshape(images.shape) - images
    total = error.square().sum().item()
    return total / len(images)


def measure_walks(hw9, judges, decoders, elbo):
    """Return a record {"row", "judge", measure: number} for each decoder and judge.

    The walks are lines between codes of test images, 2,500 of a kind; decoders:
    {row: decoder}, all of the VAE whose -ELBO is elbo. Without decoders, they are
    cross-fades, and real images."""
    images = hw9.test_images[::2]  # as in Part 6: these can be ends,
    labels = hw9.test_labels[::2]
    reference = hw9.test_images[1::2]  # and the others show what real images look like
    same, different = hw9.choose_pairs(labels.cpu(), 0, TIMES)
    within = hw9.make_walks(same, images, hw9.encoder, decoders)
    between = hw9.make_walks(different, images, hw9.encoder, decoders)
    records = []
    for way in decoders or between:
        row = {"row": way}
        if decoders:
            error = error_at_ends(hw9.test_images, hw9.encoder, decoders[way])
            row["-ELBO"] = elbo
            row["error at the ends"] = error
        for name, judge in judges.items():
            record = row | {"judge": name}
            digits = labels[different]
            record |= judge_rows(hw9, between[way], digits, reference, judge)
            digits = labels[same]
            found = judge_rows(hw9, within[way], digits, reference, judge)
            for measure, value in found.items():
                record[f"within a digit: {measure}"] = value
            records.append(record)
    return records


def animate(hw9, decoder):
    """Write interpolation.gif, the notebook's ten walks between digits, to and fro."""
    _, different = hw9.choose_pairs(hw9.test_labels.cpu(), 0)
    A = hw9.test_images[different[:, 0]]
    B = hw9.test_images[different[:, 1]]
    rows = hw9.create_interpolates(A, B, hw9.encoder, decoder)  # (10, 9, 28, 28)
    real = rows[:, [0, 8], 1:27, 1:27]
    rows[:, [0, 8]] = pad(real, [1, 1, 1, 1], value=1.0)  # framed black
    there = list(range(9))
    back = there[::-1]
    frames = []
    for k in [0, 0, *there, 8, 8, *back]:  # rests at both ends
        images = rows[:, k, None]
        sheet = make_grid(1 - images, nrow=10, pad_value=1)
        frame = to_pil_image(sheet[0])
        frames.append(frame)
    frames[0].save(
        FIGURES / "interpolation.gif",
        append_images=frames[1:],
        save_all=True,
        duration=160,
        loop=0,
    )


def draw_strips(hw9, found, digits):
    """Write strips.png: what a judge sees in walks, {way: what it says of them}."""
    strips = {}
    for way, said in found.items():
        strips[f"{way}\n{said['switches once']:.0%}"] = said["seen"]
    figure = hw9.plot_strips(strips, digits)
    figure.set_size_inches(10, 5)
    figure.savefig(FIGURES / "strips.png", dpi=150, bbox_inches="tight")


def draw_pairs(hw9, vaes, found, pairs):
    """Write pairs.png: the first six pairs on which just one of two VAEs switches once.

    vaes: {name: (encoder, decoder)}; found: {name: what a judge says of the pairs}."""
    images = hw9.test_images[::2]
    labels = hw9.test_labels[::2]
    first, second = [found[name]["once"] for name in vaes]
    differ = (first != second).nonzero()[:, 0]
    chosen = differ[:6].cpu()
    halves = []
    for name, (encoder, decoder) in vaes.items():
        figure = hw9.draw_figure(pairs[chosen], images, labels, encoder, decoder)
        alone = found[name]["once"][differ].sum()
        count = f"{alone} of {len(differ)} such pairs"
        figure.suptitle(f"{name}: the only one in {count}")
        panels = iter(figure.axes)
        for k in chosen:
            for digit in found[name]["seen"][k]:
                colour = "black" if digit in labels[pairs[k]] else "red"
                next(panels).set_xlabel(f"{digit}", color=colour)
        figure.canvas.draw()
        pixels = figure.canvas.buffer_rgba()
        halves.append(np.asarray(pixels))
    side_by_side = np.hstack(halves)
    plt.imsave(FIGURES / "pairs.png", side_by_side)


def draw_pictures(hw9, vaes, compared, judge):
    """Draw walks of VAEs, {name: (encoder, decoder)}, and what a judge sees in them.

    compared: the names of the two whose pairs are drawn."""
    images = hw9.test_images[::2]
    labels = hw9.test_labels[::2]
    _, different = hw9.choose_pairs(labels.cpu(), 0, TIMES)
    pairs = different[:200]
    digits = labels[pairs]
    walks = {}
    for name, (encoder, decoder) in vaes.items():
        walks |= hw9.make_walks(pairs, images, encoder, {name: decoder})
    found = {}
    middles = []
    for way in ("cross-fade", *vaes, "real images"):
        found[way] = hw9.measure(walks[way], digits, images, judge)
        middles.append(walks[way][:24, 4])
    hw9.show(torch.cat(middles), 24, f"Half way: {', '.join(found)}")
    plt.savefig(FIGURES / "halfway.png", dpi=150, bbox_inches="tight")
    draw_strips(hw9, found, digits)
    two = {name: vaes[name] for name in compared}
    draw_pairs(hw9, two, found, pairs)
