"""Walks between codes: what two judges say of them, and pictures."""

import matplotlib.pyplot as plt
import torch
from torch.nn.functional import pad
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

plt.switch_backend("agg")


def decoder_for_lines(hw9, encoder, decoder):
    """Return a decoder with the notebook's temperature, and with its own VAE's radius.

    That is the notebook's quantile of the lengths of this encoder's codes."""
    images = hw9.train_images[:2000]
    lengths = hw9.measure_lengths(images, encoder)
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
    seen = found["seen"]
    first = seen == digits[:, :1]
    last = seen == digits[:, 1:]
    either = (first | last).double()  # (P, 9)
    half_way = sharpness(rows[:, 4])
    real = sharpness(reference[:, 0])
    return {
        "half way": float(found["half way"]),
        "switches once": float(found["switches once"]),
        "one of the two": float(either[:, 1:8].mean()),
        "kept": float(either.amin(dim=1).mean()),  # of one digit: seen as it nine times
        "sharpness": float(half_way / real),
        "longest step": float(longest.mean()),
    }


@torch.no_grad()
def error_at_ends(images, encoder, decoder):
    """Return the squared error of images decoded from their codes, a mean."""
    mu, _ = encoder(images)
    decoded = decoder(mu).reshape(images.shape)
    error = (decoded - images).square().sum()
    return float(error) / len(images)


def measure_walks(hw9, judges, encoder, decoders, elbo, times):
    """Return a record {"row", "judge", measure: number} for each way and judge.

    The walks are lines between codes of test images, 10 * times of a kind; decoders:
    {way: decoder}, all of the VAE whose -ELBO is elbo. "within: ": within a digit."""
    images = hw9.test_images[::2]  # as in Part 6: these can be ends,
    labels = hw9.test_labels[::2]
    reference = hw9.test_images[1::2]  # and the others show what real images look like
    same, different = hw9.choose_pairs(labels.cpu(), 0, times)
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


@torch.no_grad()
def animate(hw9, encoder, decoder, path):
    """Write a GIF of the notebook's twenty walks, to and fro."""
    same, different = hw9.choose_pairs(hw9.test_labels.cpu(), 0)
    # Two lines of ten walks: within a digit on the left, between two on the right.
    pairs = torch.cat([same[:5], different[:5], same[5:], different[5:]])
    A = hw9.test_images[pairs[:, 0]]
    B = hw9.test_images[pairs[:, 1]]
    mu_A, _ = encoder(A)
    mu_B, _ = encoder(B)
    walk = []
    for k in range(1, 24):
        t = k / 24
        z = (1 - t) * mu_A + t * mu_B
        walk.append(decoder(z)[:, None])
    first = [framed(A)] * 6  # for half a second
    last = [framed(B)] * 6
    frames = []
    for images in first + walk + last + walk[::-1]:
        sheet = make_grid(1 - images, nrow=10, pad_value=1)[0]
        frame = to_pil_image(sheet)
        frames.append(frame.quantize(16))  # so many grays are enough
    frames[0].save(
        path,
        append_images=frames[1:],
        save_all=True,
        duration=80,
        loop=0,
    )


def draw_rows(rows, names):
    """Return axes with rows (R, K, height, width), one below the other, with names."""
    count = rows.shape[1]
    height = rows.shape[2]
    tiles = rows.flatten(0, 1).cpu()
    sheet = make_grid(tiles[:, None], nrow=count, padding=0)[0]
    across = sheet.shape[1] / 50  # inches
    down = sheet.shape[0] / 50
    plt.figure(figsize=(across, down))
    plt.imshow(sheet, cmap="gray_r", vmin=0, vmax=1)
    plt.box(False)
    plt.tick_params(length=0)
    plt.xticks([])
    middles = range(height // 2, len(sheet), height)
    plt.yticks(middles, names)
    return plt.gca()


def draw_pairs(walks, found, names, path):
    """Draw the first six pairs on which one of two VAEs, and only one, switches once.

    walks: {name: rows (P, 9, 28, 28)}; found: {name: what the notebook measures}."""
    first, second = names
    differ = found[first]["once"] != found[second]["once"]
    chosen = differ.nonzero()[:6, 0]
    # One below the other: the pair's walk by one VAE, and by the other.
    both = [walks[name][chosen] for name in names]
    rows = torch.stack(both, dim=1).flatten(0, 1)
    both = [found[name]["seen"][chosen] for name in names]
    seen = torch.stack(both, dim=1).flatten()
    ends = rows[:, [0, 8]]
    rows[:, [0, 8]] = framed(ends)
    rows = pad(rows, [1, 1, 1, 13])  # 30 wide, 42 high, with room for a digit
    panel = draw_rows(rows, names * len(chosen))
    for k, digit in enumerate(seen.tolist()):
        x = 30 * (k % 9) + 15
        y = 42 * (k // 9) + 35
        panel.text(x, y, digit, ha="center", va="center")
    panel.hlines(range(84, 42 * len(rows), 84), 0, 269, color="0.7")
    plt.savefig(path, dpi=100, bbox_inches="tight")


def draw_pictures(hw9, encoders, decoders, folder):
    """Draw walks of two VAEs, the second of them ours; write three files.

    encoders and decoders: {name: network}."""
    images = hw9.test_images[::2]
    labels = hw9.test_labels[::2]
    pairs = hw9.choose_pairs(labels.cpu(), 0, 250)[1][:200]
    digits = labels[pairs]
    walks = {}
    for name, decoder in decoders.items():
        walks |= hw9.make_walks(pairs, images, encoders[name], {name: decoder})
    names = list(decoders)
    found = {}
    strips = {}
    for way in ("cross-fade", *names, "real images"):
        rows = walks[way]
        found[way] = hw9.measure(rows, digits, images, hw9.judge)
        strips[way] = found[way]["seen"]
    figure = hw9.plot_strips(strips, digits)
    figure.savefig(folder / "strips.png", dpi=150, bbox_inches="tight")
    draw_pairs(walks, found, names, folder / "pairs.png")
    animate(hw9, encoders[names[1]], decoder, folder / "interpolation.gif")


def draw_peers(walks, path):
    """Draw {name: rows (5, 9, 28, 28)}: five walks side by side, a line a name."""
    lines = [torch.cat(five.unbind(1), dim=2) for five in walks.values()]
    rows = pad(torch.stack(lines), [0, 14])  # a little space between walks
    draw_rows(rows, list(walks))
    plt.savefig(path, dpi=60, bbox_inches="tight")
