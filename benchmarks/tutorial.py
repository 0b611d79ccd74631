"""The recipe of most VAE tutorials, written anew: the reference of `make bench`.

784-400-20-400-784 with ReLU (Kingma & Welling 2014, in its usual size today).
"""

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy, relu
from tqdm import tqdm


class Encoder(nn.Module):
    """Map images (B, 1, 28, 28) to mu and logvar, (B, 20) each."""

    def __init__(self):
        """Make the three layers."""
        super().__init__()
        self.hidden = nn.Linear(784, 400)
        self.mu = nn.Linear(400, 20)
        self.logvar = nn.Linear(400, 20)

    def forward(self, x):
        """Return mu and logvar."""
        h = relu(self.hidden(x.flatten(1)))
        return self.mu(h), self.logvar(h)


class Decoder(nn.Module):
    """Map codes (B, 20) to pixels (B, 784) in [0, 1]."""

    def __init__(self):
        """Make the two layers."""
        super().__init__()
        self.hidden = nn.Linear(20, 400)
        self.image = nn.Linear(400, 784)

    def forward(self, z):
        """Return pixels."""
        return torch.sigmoid(self.image(relu(self.hidden(z))))


def both_terms(encoder, decoder, x):
    """Return reconstruction error and KL of a batch, in nats, summed over it."""
    mu, logvar = encoder(x)
    x_hat = decoder(mu + torch.exp(logvar / 2) * torch.randn_like(mu))
    reconstruction = binary_cross_entropy(x_hat, x.flatten(1), reduction="sum")
    kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()
    return reconstruction, kl


def fit(encoder, decoder, loader, test_images, epochs):
    """Train with Adam; return, after each epoch, what `evaluate` calls its measures."""
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(weights, lr=1e-3)
    device = test_images.device
    curve = []
    for epoch in range(1, epochs + 1):
        for x, _ in tqdm(loader, f"tutorial, epoch {epoch}/{epochs}", mininterval=1):
            optimizer.zero_grad()
            reconstruction, kl = both_terms(encoder, decoder, x.to(device))
            (reconstruction + kl).backward()
            optimizer.step()
        with torch.no_grad():
            reconstruction, kl = both_terms(encoder, decoder, test_images)
        measures = {"reconstruction": reconstruction.item() / len(test_images)}
        measures["KL"] = kl.item() / len(test_images)
        measures["-ELBO"] = measures["reconstruction"] + measures["KL"]
        curve.append(measures)
    return curve
