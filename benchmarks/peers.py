"""`make peers`: the autoencoders of a library, judged as the notebook judges its own.

Classes and trainer are those of pythae (Chadebec et al. 2022); networks, images,
epochs, optimizer, and schedule are the notebook's. Each peer is decoded plainly, and
for lines. Writes peers.json, and the table on its page. With QUICK=1 it prints one of
the sample, and changes nothing.
"""

import logging
import tempfile

import cells
import report
import torch
from cells import CELLS
from pythae import models
from pythae.data.datasets import BaseDataset
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from report import NOTEBOOK
from torch import nn
from torch.nn.functional import normalize
from torch.utils.data import DataLoader
from walks import decode_for_lines, measure_walks

BCE = {"reconstruction_loss": "bce"}
# Class, configuration, settings. Rate and weights, but for β, did best on validation
# images (NOTES.md).
PEERS = {
    "autoencoder": (models.AE, models.AEConfig, {}),
    "VAE": (models.VAE, models.VAEConfig, BCE),
    "β-VAE": (models.BetaVAE, models.BetaVAEConfig, BCE | {"beta": 0.5}),
    "VampPrior": (models.VAMP, models.VAMPConfig, BCE | {"number_components": 50}),
    "hyperspherical": (models.SVAE, models.SVAEConfig, BCE),
    "WAE-MMD": (models.WAE_MMD, models.WAE_MMD_Config, {"reg_weight": 1}),
    "InfoVAE": (models.INFOVAE_MMD, models.INFOVAE_MMD_Config, BCE | {"lbd": 10}),
}
RATE = 0.01


class LibraryEncoder(BaseEncoder):
    """The notebook's encoder, its `network`, as the library wants it."""

    def forward(self, x, **_):
        """Return all that any of the library's models asks for."""
        mu, logvar = self.network(x)
        return ModelOutput(
            embedding=mu, log_covariance=logvar, log_concentration=logvar[:, :1]
        )


class LibraryDecoder(BaseDecoder):
    """The notebook's decoder, its `network`, as the library wants it."""

    def forward(self, z, **_):
        """Return images (B, 1, 28, 28)."""
        return ModelOutput(reconstruction=self.network(z)[:, None])


class PeerEncoder(nn.Module):
    """The encoder of a trained `model` of the library, as the notebook wants it."""

    def forward(self, x):
        """Return codes, on the sphere if the model's are, and nothing more."""
        mu = self.model.encoder(x).embedding
        if isinstance(self.model, models.SVAE):
            mu = normalize(mu)
        return mu, None


class Schedule(TrainingCallback):
    """The notebook's schedule, at each step; the library's own: once an epoch."""

    def __init__(self, trainer, one_cycle, steps):
        """Take a trainer, which will make its optimizer when training begins."""
        self.trainer = trainer
        self.one_cycle = one_cycle
        self.steps = steps

    def on_train_begin(self, training_config, **_):
        """Make the schedule."""
        self.schedule = self.one_cycle(self.trainer.optimizer, self.steps)

    def on_train_step_end(self, training_config, **_):
        """Step."""
        self.schedule.step()


def train_peer(peer, hw9):
    """Train a peer as the library does, and make it the notebook's VAE; return it."""
    make_model, configure, settings = PEERS[peer]
    torch.manual_seed(hw9.SEED)
    config = configure((1, 28, 28), hw9.LATENT_DIM, **settings)
    encoder = LibraryEncoder()
    encoder.network = hw9.Encoder(hw9.LATENT_DIM)
    decoder = LibraryDecoder()
    decoder.network = hw9.Decoder(hw9.LATENT_DIM)
    model = make_model(config, encoder, decoder)
    data = BaseDataset(hw9.train_images, hw9.train_labels)
    with tempfile.TemporaryDirectory() as folder:  # the library saves what it trains
        recipe = BaseTrainerConfig(
            folder,
            num_epochs=hw9.EPOCHS,
            seed=hw9.SEED,
            learning_rate=RATE,
            optimizer_cls="AdamW",
            optimizer_params={"betas": (0.85, 0.9), "fused": True},
        )
        trainer = BaseTrainer(model, data, None, recipe, [])
        # The notebook's sampler makes batches.
        sampler = hw9.train_loader.sampler
        trainer.train_loader = DataLoader(data, batch_size=None, sampler=sampler)
        steps = hw9.EPOCHS * len(trainer.train_loader)
        trainer.callbacks.append(Schedule(trainer, hw9.one_cycle, steps))
        trainer.train()
    hw9.encoder = PeerEncoder()
    hw9.encoder.model = model.eval()
    hw9.plain_decoder = decoder.network
    return model


@torch.no_grad()
def bound(model, images):
    """Return a peer's own −ELBO, or None if it has no KL."""
    total = 0.0
    for x in images.split(1000):
        terms = model({"data": x})
        if "reg_loss" not in terms:
            return None
        total += float(terms.recon_loss + terms.reg_loss) * len(x)
    return total / len(images)


def main():
    """Train and judge the notebook and all peers, and report."""
    logging.disable(logging.INFO)
    hw9 = cells.train_notebook(CELLS, {})
    judges = cells.train_judges(hw9)
    elbo = cells.measure_loss(hw9)["-ELBO"]
    decoders = {NOTEBOOK: decode_for_lines(hw9, hw9.MOVED_SHARE)}
    walks = measure_walks(hw9, judges, decoders={}, elbo=None)
    walks += measure_walks(hw9, judges, decoders, elbo)
    for peer in PEERS:
        model = train_peer(peer, hw9)
        for_lines = decode_for_lines(hw9, hw9.MOVED_SHARE)
        decoders = {peer: hw9.plain_decoder, f"{peer}, for lines": for_lines}
        walks += measure_walks(hw9, judges, decoders, bound(model, hw9.test_images))
    report.publish("peers", walks)


if __name__ == "__main__":
    main()
