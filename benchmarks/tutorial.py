"""The recipe of most VAE tutorials, written anew: the reference of `make bench`."""

import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor
from tqdm import tqdm


class TutorialVAE(nn.Module):
    """784-400-20-400-784 with ReLU (Kingma & Welling 2014, appendix C, in its usual size today)."""

    def __init__(self):
        """Make the five layers."""
        super().__init__()
        self.hidden, self.mu, self.logvar = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.expand, self.image = nn.Linear(20, 400), nn.Linear(400, 784)

    def encode(self, x):
        """Map images (B, 1, 28, 28) to mu and logvar, (B, 20) each."""
        h = F.relu(self.hidden(x.flatten(1)))
        return self.mu(h), self.logvar(h)

    def decode(self, z):
        """Map codes (B, 20) to pixels (B, 784) in [0, 1]."""
        return torch.sigmoid(self.image(F.relu(self.expand(z))))

    def loss(self, x):
        """Return reconstruction error and KL of a batch, in nats, each summed over the batch."""
        mu, logvar = self.encode(x)
        x_hat = self.decode(mu + torch.exp(logvar / 2) * torch.randn_like(mu))
        reconstruction = F.binary_cross_entropy(x_hat, x.flatten(1), reduction="sum")
        return reconstruction, -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()


def train_tutorial(root, epochs, fetch, seed=0):
    """Train for `epochs` on MNIST's files in `root`; `fetch` them if they are not there.

    Returns {"curve": test (reconstruction, KL) after each epoch, in nats per image, "seconds": of
    training until then, "images_per_second"}, and the model. Measuring the test split is outside the
    time that counts.
    """
    torch.manual_seed(seed)
    train, test = (
        MNIST(root, train=part, transform=ToTensor(), download=fetch) for part in (True, False)
    )
    loader = DataLoader(train, batch_size=128, shuffle=True)
    model, curve, seconds = TutorialVAE(), [], [0.0]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x_test = test.data[:, None] / 255
    for _ in range(epochs):
        start = time.perf_counter()
        for x, _ in tqdm(loader, desc=f"tutorial, epoch {len(curve) + 1}/{epochs}", mininterval=1):
            optimizer.zero_grad()
            sum(model.loss(x)).backward()
            optimizer.step()
        seconds.append(seconds[-1] + time.perf_counter() - start)
        with torch.no_grad():
            curve.append([float(part) / len(x_test) for part in model.loss(x_test)])
    rate = epochs * len(train) / seconds[-1]
    return {"curve": curve, "seconds": seconds[1:], "images_per_second": rate}, model
