"""The recipe of most VAE tutorials, written anew: the reference of `make bench`.

784-400-20-400-784 with ReLU (Kingma & Welling 2014, in its usual size today).
"""

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy
from tqdm import tqdm


class Encoder(nn.Module):
    """Map images (B, 1, 28, 28) to mu and logvar, (B, 20) each."""

    def __init__(self):
        """Make the layers."""
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40)
        )

    def forward(self, x):
        """Return mu and logvar."""
        return self.net(x).chunk(2, dim=1)


def make_decoder():
    """Return a network that maps codes (B, 20) to pixels (B, 784) in [0, 1]."""
    return nn.Sequential(
        nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid()
    )


def train(encoder, decoder, loader, num_epochs, device):
    """Train on batches (images, labels)."""
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(weights, lr=1e-3)
    for epoch in range(1, num_epochs + 1):
        for images, _ in tqdm(loader, f"Tutorial {epoch}", mininterval=1, leave=False):
            x = images.to(device)
            mu, logvar = encoder(x)
            x_hat = decoder(mu + torch.exp(logvar / 2) * torch.randn_like(mu))
            reconstruction = binary_cross_entropy(x_hat, x.flatten(1), reduction="sum")
            kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()
            optimizer.zero_grad()
            (reconstruction + kl).backward()
            optimizer.step()
