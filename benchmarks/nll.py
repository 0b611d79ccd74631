"""`make nll`: log p(x) of the notebook's VAE, on the scale of the literature.

MNIST's gray values are read as probabilities of ink, and black-and-white images drawn
from them: in each epoch anew for training, once for the test. Networks and training are
the notebook's, but wider and longer, on all 60,000 images. log p(x) is estimated by
importance samples (Burda et al. 2016) and knows no labels: the prior mixes all ten.
Writes benchmarks/nll.json. `--quick` does it small, on the sample, and writes nothing.
"""

import os
import sys
import time

import cells
import report
import torch
from notebook import PROJECT, read_cells
from tqdm import tqdm

SETTINGS = {
    "LATENT_DIM": 40,
    "EPOCHS": 150,
    "BATCH_SIZE": 192,
    "LEARNING_RATE": 5e-3,
}
CHANNELS = 64
HIDDEN = 512
SAMPLES = 1000


class Drawn:
    """A loader whose images are drawn in black and white, anew on each pass."""

    def __init__(self, loader):
        """Take what yields batches (images, labels)."""
        self.loader = loader

    def __len__(self):
        """Return the number of batches."""
        return len(self.loader)

    def __iter__(self):
        """Yield the batches."""
        for images, labels in self.loader:
            yield torch.bernoulli(images), labels


@torch.no_grad()
def log_likelihood(hw9, encoder, decoder, x, samples, at_once=50):
    """Return an estimate of log p(x), (B,), of images (B, 1, 28, 28), in nats."""
    mu, logvar = encoder(x)
    mu = mu.repeat(at_once, 1)
    logvar = logvar.repeat(at_once, 1)
    x = x.repeat(at_once, 1, 1, 1)
    weights = []
    for _ in range(samples // at_once):
        z = hw9.sample(mu, logvar)
        error = hw9.reconstruction_error(x, decoder(z))
        kl = hw9.kl_to_mixture(z, mu, logvar, hw9.prior_means)
        weights.append((-error - kl).reshape(at_once, -1))
    return torch.cat(weights).logsumexp(0) - torch.tensor(float(samples)).log()


def train_drawn(hw9):
    """Train a wider encoder and decoder on all training images; return them."""
    torch.manual_seed(hw9.SEED)
    encoder = hw9.Encoder(hw9.LATENT_DIM, CHANNELS, HIDDEN).to(hw9.device)
    decoder = hw9.Decoder(hw9.LATENT_DIM, CHANNELS, HIDDEN).to(hw9.device)
    weights = [*encoder.parameters(), *decoder.parameters()]
    betas = (0.85, 0.9)
    optimizer = torch.optim.AdamW(weights, hw9.LEARNING_RATE, betas, fused=True)
    images = hw9.all_train_images
    loader = Drawn(hw9.make_loader(images, hw9.all_train_labels, hw9.BATCH_SIZE))
    hw9.train(encoder, decoder, loader, optimizer, hw9.EPOCHS, hw9.prior_means)
    return encoder, decoder


def main(quick):
    """Train, estimate, and report; quick: print only."""
    os.chdir(PROJECT)
    small = {"EPOCHS": 1, "DATASET": "sample"} if quick else {}
    samples = 50 if quick else SAMPLES
    hw9 = cells.begin(read_cells(), SETTINGS | small)
    start = time.perf_counter()
    encoder, decoder = train_drawn(hw9)
    seconds = time.perf_counter() - start
    test = torch.bernoulli(hw9.test_images)
    found = []
    for x in tqdm(test.split(100), "log p(x)", mininterval=1):
        found.append(log_likelihood(hw9, encoder, decoder, x, samples))
    nats = -torch.cat(found)
    results = {
        "nats": nats.mean().item(),
        "error": nats.std().item() / len(nats) ** 0.5,
        "images": len(nats),
        "samples": samples,
        "epochs": hw9.EPOCHS,
        "seconds": seconds,
        "channels": CHANNELS,
        "hidden": HIDDEN,
        "latent_dim": hw9.LATENT_DIM,
    }
    if quick:
        report.show(report.nll_tables(results, report.machine()))
    else:
        report.save("nll", cells.BEFORE, results)
        report.main()


if __name__ == "__main__":
    main("--quick" in sys.argv)
