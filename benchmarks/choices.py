"""`make choices`: length of a code, corners, and share moved, by validation images.

Trains the notebook with other settings, two seeds each, and judges lines between codes
of every other validation image; the rest are the reference. Prints a table. `--save`
writes choices.json and the pages. `--quick` does it small, and changes nothing.
"""

import os

import cells
import report
from read_notebook import PROJECT, read_cells, run_cell
from walks import measure_walks

# LATENT_DIM and CORNER_DISTANCE.
OPTIONS = [(16, 3.5), (16, 4.0), (16, 4.5), (16, 5.0), (20, 4.0), (24, 4.0), (32, 4.0)]
SHARES = [0.0, 0.1, 0.25, 0.5]


def train(settings):
    """Return a notebook that has trained, with validation images for a test split."""
    hw9 = cells.begin(read_cells(), settings)
    run_cell(read_cells()["Train"], "Train", vars(hw9))
    hw9.test_images = hw9.val_images
    hw9.test_labels = hw9.all_train_labels[-hw9.held_out :]
    return hw9


def make_decoders(hw9, title):
    """Return {row of the table: decoder}, one for each share moved."""
    lengths = hw9.measure_lengths(hw9.train_images[:2000], hw9.encoder)
    decoders = {}
    for share in SHARES:
        radius = lengths.quantile(share).item() if share > 0 else 0.0
        decoder = hw9.LineDecoder(hw9.plain_decoder, radius, hw9.TEMPERATURE)
        decoders[f"{title}, share {share}"] = decoder
    return decoders


def choose(given):
    """Return the records that `measure_walks` makes of all options."""
    small = report.small(given)
    times = 20 if given.quick else 250
    judges = None
    records = []
    for latent_dim, distance in OPTIONS[:1] if given.quick else OPTIONS:
        title = f"{latent_dim} numbers, corners at {distance}"
        for seed in range(2):
            settings = {"LATENT_DIM": latent_dim, "CORNER_DISTANCE": distance}
            hw9 = train(settings | {"SEED": seed} | small)
            if judges is None:  # the same for all
                judges = cells.train_judges(hw9)
            decoders = make_decoders(hw9, title)
            elbo = hw9.history[-1]["-ELBO"]
            records += measure_walks(hw9, judges, hw9.encoder, decoders, elbo, times)
    return records


def main():
    """Measure and report, as the command line says."""
    given = report.make_parser(__doc__).parse_args()
    os.chdir(PROJECT)
    report.publish("choices", choose(given), given)


if __name__ == "__main__":
    main()
