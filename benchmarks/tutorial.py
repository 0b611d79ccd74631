"""The recipe of most VAE tutorials, written anew: the reference of `make bench`."""

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm


class TutorialVAE(nn.Module):
    """784-400-20-400-784 with ReLU (Kingma & Welling 2014, in its usual size today)."""

    def __init__(self):
        """Make the five layers."""
        super().__init__()
        self.hidden, self.mu = nn.Linear(784, 400), nn.Linear(400, 20)
        self.logvar, self.expand = nn.Linear(400, 20), nn.Linear(20, 400)
        self.image = nn.Linear(400, 784)

    def encode(self, x):
        """Map images (B, 1, 28, 28) to mu and logvar, (B, 20) each."""
        h = F.relu(self.hidden(x.flatten(1)))
        return self.mu(h), self.logvar(h)

    def decode(self, z):
        """Map codes (B, 20) to pixels (B, 784) in [0, 1]."""
        return torch.sigmoid(self.image(F.relu(self.expand(z))))

    def loss(self, x):
        """Return reconstruction error and KL of a batch, in nats, summed over it."""
        mu, logvar = self.encode(x)
        x_hat = self.decode(mu + torch.exp(logvar / 2) * torch.randn_like(mu))
        reconstruction = F.binary_cross_entropy(x_hat, x.flatten(1), reduction="sum")
        return reconstruction, -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()


def fit(model, loader, x_test, epochs):
    """Train with Adam; return test (reconstruction, KL) after each epoch, in nats."""
    curve, optimizer = [], torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(1, epochs + 1):
        for x, _ in tqdm(
            loader, desc=f"tutorial, epoch {epoch}/{epochs}", mininterval=1
        ):
            optimizer.zero_grad()
            sum(model.loss(x)).backward()
            optimizer.step()
        with torch.no_grad():
            curve.append([float(part) / len(x_test) for part in model.loss(x_test)])
    return curve
