"""Walks between codes: what two judges say of them, and pictures."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from cells import QUICK
from torch.nn.functional import pad
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

plt.switch_backend("agg")
TIMES = 20 if QUICK else 250  # ten pairs each


def decoder_for_lines(hw9, encoder, decoder):
    """Return a decoder with the notebook's temperature, and with its own VAE's radius.

    That is the notebook's quantile of the lengths of this encoder's codes."""
    lengths = hw9.measure_lengths(hw9.train_images[:2000], encoder)
    radius = lengths.quantile(hw9.MOVED_SHARE).item()
    return hw9.LineDecoder(decoder, radius, hw9.TEMPERATURE)


def sharpness(images):
    """Return the mean squared Laplacian of images (N, 28, 28)."""
    across = images.diff(n=2, dim=2)[:, 1:-1]  # (N, 26, 26)
    down = images.diff(n=2, dim=1)[:, :, 1:-1]
    laplacian = across + down
    return laplacian.square().mean()


def judge_rows(hw9, rows, digits, reference, judge):
    """Return {measure: number} of rows (P, 9, 28, 28) between digits (P, 2)."""
    found = hw9.measure(rows, digits, reference, judge)
    features, _ = hw9.ask(judge, rows)
    features = features.reshape(len(rows), 9, -1)
    steps = features.diff(dim=1).norm(dim=2)  # (P, 8)
    longest = steps.amax(dim=1) / steps.sum(dim=1)
    share = sharpness(rows[:, 4]) / sharpness(reference[:, 0])
    return {
        "half way": float(found["half way"]),
        "switches once": float(found["switches once"]),
        "sharpness": float(share),
        "longest step": float(longest.mean()),
    }


@torch.no_grad()
def error_at_ends(images, encoder, decoder):
    """Return the squared error of images decoded from their codes, a mean."""
    mu, _ = encoder(images)
    decoded = decoder(mu).reshape(images.shape)
    error = (decoded - images).square().sum()
    return float(error) / len(images)


def measure_walks(hw9, judges, encoder, decoders, elbo):
    """Return a record {"row", "judge", measure: number} for each way and judge.

    The walks are lines between codes of test images, 2,500 of a kind; decoders:
    {way: decoder}, all of the VAE whose -ELBO is elbo. "within: ": within a digit."""
    images = hw9.test_images[::2]  # as in Part 6: these can be ends,
    labels = hw9.test_labels[::2]
    reference = hw9.test_images[1::2]  # and the others show what real images look like
    same, different = hw9.choose_pairs(labels.cpu(), 0, TIMES)
    within = hw9.make_walks(same, images, encoder, decoders)
    between = hw9.make_walks(different, images, encoder, decoders)
    records = []
    for way in between:
        ends = {}
        if way in decoders:
            error = error_at_ends(hw9.test_images, encoder, decoders[way])
            ends = {"-ELBO": elbo, "error at the ends": error}
        for name, judge in judges.items():
            digits = labels[different]
            found = judge_rows(hw9, between[way], digits, reference, judge)
            record = {"row": way, "judge": name} | ends | found
            digits = labels[same]
            found = judge_rows(hw9, within[way], digits, reference, judge)
            for measure, value in found.items():
                record[f"within: {measure}"] = value
            records.append(record)
    return records


def framed(images):
    """Return images (..., 28, 28) with a black frame."""
    inner = images[..., 1:27, 1:27]
    return pad(inner, [1, 1, 1, 1], value=1.0)


def animate(hw9, encoder, decoder, path):
    """Write a GIF of the notebook's twenty walks, to and fro."""
    same, different = hw9.choose_pairs(hw9.test_labels.cpu(), 0)
    # Two lines of ten walks: within a digit on the left, between two on the right.
    pairs = torch.cat([same[:5], different[:5], same[5:], different[5:]])
    walks = hw9.make_walks(pairs, hw9.test_images, encoder, {"line": decoder})
    rows = walks["line"]  # (20, 9, 28, 28)
    rows[:, [0, 8]] = framed(rows[:, [0, 8]])
    frames = []
    for k in [0, 0, 0, *range(9), 8, 8, 8, *range(8, 0, -1)]:
        sheet = make_grid(1 - rows[:, k, None], nrow=10, pad_value=1)[0]
        frame = to_pil_image(sheet)
        frames.append(frame.quantize(16))  # so many grays are enough
    frames[0].save(
        path,
        append_images=frames[1:],
        save_all=True,
        duration=160,
        loop=0,
    )


def draw_pictures(notebooks, decoders, judge, folder):
    """Draw what a judge sees in walks of two notebooks' VAEs; write two files.

    notebooks, decoders: {name: notebook}, {name: the decoder of its VAE}."""
    found = {}
    for name, hw9 in notebooks.items():
        images = hw9.test_images[::2]
        labels = hw9.test_labels[::2]
        pairs = hw9.choose_pairs(labels.cpu(), 0, TIMES)[1][:200]
        walks = hw9.make_walks(pairs, images, hw9.encoder, {name: decoders[name]})
        for way, rows in walks.items():
            found[way] = hw9.measure(rows, labels[pairs], images, judge)
    strips = {}
    for way in ("cross-fade", *notebooks, "real images"):
        strips[way] = found[way]["seen"]
    figure = hw9.plot_strips(strips, labels[pairs])
    figure.savefig(folder / "strips.png", dpi=150, bbox_inches="tight")
    # The first six pairs on which one of the two switches once, and only one.
    first, second = notebooks
    differ = found[first]["once"] != found[second]["once"]
    chosen = differ.nonzero()[:6, 0].cpu()
    halves = []
    for name, hw9 in notebooks.items():
        figure = hw9.draw_figure(
            pairs[chosen], images, labels, hw9.encoder, decoders[name]
        )
        digits = found[name]["seen"][chosen].flatten()
        for panel, digit in zip(figure.axes, digits, strict=True):
            panel.set_xlabel(f"{digit}")
        figure.suptitle(name)
        figure.canvas.draw()
        halves.append(np.asarray(figure.canvas.buffer_rgba()))
    plt.imsave(folder / "pairs.png", np.hstack(halves))
