"""`make nll`: log p(x) of the notebook's VAE, on the scale of the literature.

MNIST's gray values are read as probabilities of ink, and black-and-white images drawn
from them: in each epoch anew for training, once for the test. Networks and training are
the notebook's, but wider and longer, on all 60,000 images. log p(x) is estimated by
importance samples (Burda et al. 2016) and knows no labels: the prior mixes all ten.
`--quick` does it small, on the sample, and writes nothing.
"""

import os
import sys
import time

import torch
from cells import PROJECT, new_notebook, prepare
from report import fill
from tqdm import tqdm

SETTINGS = {"LATENT_DIM": 40, "EPOCHS": 150, "BATCH_SIZE": 192}
SETTINGS |= {"LEARNING_RATE": 5e-3, "DATASET": "mnist"}
QUICK = SETTINGS | {"EPOCHS": 1, "DATASET": "sample"}
WIDTH, HIDDEN, SAMPLES = 64, 512, 1000


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


def train_drawn(hw9, width, hidden):
    """Train encoder and decoder of some width on all training images; return them."""
    torch.manual_seed(hw9.SEED)
    encoder = hw9.Encoder(hw9.LATENT_DIM, width, hidden).to(hw9.device)
    decoder = hw9.Decoder(hw9.LATENT_DIM, width, hidden).to(hw9.device)
    weights = [*encoder.parameters(), *decoder.parameters()]
    betas = (0.85, 0.9)
    optimizer = torch.optim.AdamW(weights, hw9.LEARNING_RATE, betas, fused=True)
    images = hw9.all_train_images
    loader = Drawn(hw9.make_loader(images, hw9.all_train_labels, hw9.BATCH_SIZE))
    hw9.train(encoder, decoder, loader, optimizer, hw9.EPOCHS, hw9.prior_means)
    return encoder, decoder


def main(quick):
    """Train, estimate, print, and put the result into benchmarks/README.md."""
    os.chdir(PROJECT)
    hw9 = new_notebook()
    prepare(hw9, QUICK if quick else SETTINGS)
    start = time.perf_counter()
    encoder, decoder = train_drawn(hw9, WIDTH, HIDDEN)
    seconds = time.perf_counter() - start
    test = torch.bernoulli(hw9.test_images)
    samples = 50 if quick else SAMPLES
    found = []
    for x in tqdm(test.split(100), "log p(x)", mininterval=1):
        found.append(log_likelihood(hw9, encoder, decoder, x, samples))
    nats = -torch.cat(found)
    text = (
        f"−log p(x) = {nats.mean():.2f} nats, standard error over images "
        f"{nats.std() / len(nats) ** 0.5:.2f}; {len(nats):,} images, {samples:,} "
        f"samples each; {hw9.EPOCHS} epochs in {seconds:.0f} s, {WIDTH} channels, "
        f"{HIDDEN} hidden units, codes of {hw9.LATENT_DIM} numbers."
    )
    print(text)
    if not quick:
        fill({"nll": text})


if __name__ == "__main__":
    main("--quick" in sys.argv)
