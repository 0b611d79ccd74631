"""`make choices`: length of a code, corners, and share moved, by validation images.

Trains the notebook with other settings, two seeds each, and judges lines between codes
of every other validation image; the rest are the reference. Writes choices.json and the
page. With QUICK=1 it prints a table of the sample, and changes nothing.
"""

import cells
import report
import torch
from cells import CELLS, QUICK
from walks import decode_for_lines, measure_walks

# LATENT_DIM and CORNER_DISTANCE.
OPTIONS = [(16, 3.5), (16, 4.0), (16, 4.5), (16, 5.0), (20, 4.0), (24, 4.0), (32, 4.0)]
SHARES = [0.0, 0.1, 0.25, 0.5]


def train(latent_dim, distance, seed):
    """Return a notebook that has trained, with validation images for a test split."""
    settings = {"LATENT_DIM": latent_dim, "CORNER_DISTANCE": distance, "SEED": seed}
    hw9 = cells.train_notebook(CELLS, settings)
    # Shuffled, because every other image is an end, and in the training split the odd
    # ones have more ink.
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(hw9.held_out, generator=generator)
    hw9.test_images = hw9.val_images[order]
    hw9.test_labels = hw9.all_train_labels[-hw9.held_out :][order]
    return hw9


def main():
    """Train, judge, and report."""
    judges = cells.train_judges(cells.begin(CELLS, {}))
    walks = []
    for latent_dim, distance in OPTIONS[:1] if QUICK else OPTIONS:
        for seed in range(2):
            hw9 = train(latent_dim, distance, seed)
            if not walks:  # cross-fades and real images, once
                walks += measure_walks(hw9, judges, decoders={}, elbo=None)
            decoders = {}
            for share in SHARES:
                row = f"{latent_dim} numbers, corners at {distance}, share {share}"
                decoders[row] = decode_for_lines(hw9, share)
            elbo = cells.measure_loss(hw9)["-ELBO"]
            walks += measure_walks(hw9, judges, decoders, elbo)
    report.publish("choices", walks)


if __name__ == "__main__":
    main()
