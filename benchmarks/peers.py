"""`make peers`: the autoencoders of a library, judged as the notebook judges its own.

Classes and trainers are those of pythae (Chadebec et al. 2022); networks, images,
epochs, optimizer, and schedule are the notebook's. Rate and weight are chosen on the
validation images, after three epochs, by the Fréchet distance half way between two
digits. Each peer is decoded plainly, and for lines. Writes peers.json, a picture, and
the table on its page. With QUICK=1 it prints one of the sample, and changes nothing.
"""

import logging
import tempfile

import cells
import matplotlib.pyplot as plt
import report
import torch
from cells import CELLS, QUICK
from pythae import models, trainers
from pythae.data.datasets import BaseDataset
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers.training_callbacks import TrainingCallback
from report import NOTEBOOK
from torch import nn
from torch.nn.functional import normalize
from torch.utils.data import DataLoader
from walks import FIGURES, decode_for_lines, measure_walks

BCE = {"reconstruction_loss": "bce"}
# Class (_ as in its configuration), trainer, settings; a weight, and its values.
PEERS = {
    "autoencoder": ("AE", "Base", {}, "", [None]),
    "VAE": ("VAE", "Base", BCE, "", [None]),
    "β-VAE": ("BetaVAE", "Base", BCE, "beta", [0.5]),
    "VampPrior": ("VAMP", "Base", BCE, "number_components", [50, 100]),
    "hyperspherical": ("SVAE", "Base", BCE, "", [None]),
    "WAE-MMD": ("WAE_MMD_", "Base", {}, "reg_weight", [1, 10, 100]),
    "InfoVAE": ("INFOVAE_MMD_", "Base", BCE, "lbd", [10, 100, 1000]),
    "RAE-L2": (
        "RAE_L2_",
        "CoupledOptimizer",
        {},
        "embedding_weight",
        [0.001, 0.01, 0.1],
    ),
    "adversarial AE": (
        "Adversarial_AE_",
        "Adversarial",
        BCE,
        "reconstruction_loss_scale",
        [0.003, 0.03, 0.3],
    ),
}
RATES = [3e-3, 1e-2]
# What each trainer calls its optimizers: its fields begin with these words.
OPTIMIZERS = {
    "Base": [""],
    "CoupledOptimizer": ["encoder_", "decoder_"],
    "Adversarial": ["autoencoder_", "discriminator_"],
}


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


class Schedules(TrainingCallback):
    """The notebook's schedule, at each step; the library's own: once an epoch."""

    def __init__(self, trainer, one_cycle, steps):
        """Take a trainer, which will make its optimizers when training begins."""
        self.trainer = trainer
        self.one_cycle = one_cycle
        self.steps = steps
        self.schedules = []

    def on_train_begin(self, training_config, **_):
        """Make a schedule for each optimizer."""
        for part in vars(self.trainer).values():
            if isinstance(part, torch.optim.Optimizer):
                self.schedules.append(self.one_cycle(part, self.steps))

    def on_train_step_end(self, training_config, **_):
        """Step."""
        for schedule in self.schedules:
            schedule.step()


def train_peer(peer, hw9, epochs, rate, weight):
    """Train a peer as the library does, and make it the notebook's VAE; return it."""
    kind, trainer, settings, name, _ = PEERS[peer]
    if name:
        settings = settings | {name: weight}
    torch.manual_seed(hw9.SEED)
    config = getattr(models, f"{kind}Config")(
        input_dim=(1, 28, 28), latent_dim=hw9.LATENT_DIM, **settings
    )
    encoder = LibraryEncoder()
    encoder.network = hw9.Encoder(hw9.LATENT_DIM)
    decoder = LibraryDecoder()
    decoder.network = hw9.Decoder(hw9.LATENT_DIM)
    model = getattr(models, kind.strip("_"))(config, encoder, decoder)
    data = BaseDataset(hw9.train_images, hw9.train_labels)
    recipe = {"num_epochs": epochs, "seed": hw9.SEED}
    for part in OPTIMIZERS[trainer]:
        recipe[f"{part}learning_rate"] = rate
        recipe[f"{part}optimizer_cls"] = "AdamW"
        recipe[f"{part}optimizer_params"] = {"betas": (0.85, 0.9), "fused": True}
    with tempfile.TemporaryDirectory() as folder:  # the library saves what it trains
        config = getattr(trainers, f"{trainer}TrainerConfig")(folder, **recipe)
        run = getattr(trainers, f"{trainer}Trainer")(model, data, None, config, [])
        # The notebook's sampler makes batches.
        sampler = hw9.train_loader.sampler
        run.train_loader = DataLoader(data, batch_size=None, sampler=sampler)
        steps = epochs * len(run.train_loader)
        run.callbacks.append(Schedules(run, hw9.one_cycle, steps))
        run.train()
    hw9.encoder = PeerEncoder()
    hw9.encoder.model = model.eval()
    hw9.plain_decoder = decoder.network
    return model


def half_way(hw9, judge):
    """Return the Fréchet distance half way between two digits of validation images."""
    images = hw9.val_images
    labels = hw9.all_train_labels[-hw9.held_out :]
    pairs = hw9.choose_pairs(labels.cpu(), 0, 100)[1]
    ways = {"plain": hw9.plain_decoder}
    walks = hw9.make_walks(pairs, images, hw9.encoder, ways)
    found = hw9.measure(walks["plain"], labels[pairs], images, judge)
    return float(found["half way"])


def choose(peer, hw9, judge):
    """Return the rate and the weight with which a peer does best on validation."""
    best = float("inf")
    for rate in RATES[1:] if QUICK else RATES:
        for weight in PEERS[peer][4]:
            try:
                train_peer(peer, hw9, min(3, hw9.EPOCHS), rate, weight)
            except (ArithmeticError, RuntimeError) as problem:  # it diverged
                print(peer, rate, weight, problem)
                continue
            found = half_way(hw9, judge)
            print(peer, rate, weight, found)
            if found < best:
                best = found
                chosen = rate, weight
    return chosen


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
    """Train and judge the notebook and all peers; draw walks, and report."""
    logging.disable(logging.INFO)
    hw9 = cells.train_notebook(CELLS, {})
    judges = cells.train_judges(hw9)
    elbo = cells.measure_loss(hw9)["-ELBO"]
    decoders = {NOTEBOOK: decode_for_lines(hw9, hw9.MOVED_SHARE)}
    walks = measure_walks(hw9, judges, {}, None)
    walks += measure_walks(hw9, judges, decoders, elbo)
    pairs = hw9.choose_pairs(hw9.test_labels.cpu(), 0)[1][:5]
    drawn = hw9.make_walks(pairs, hw9.test_images, hw9.encoder, decoders)
    chosen = []
    for peer in PEERS:
        rate, weight = choose(peer, hw9, judges["judge"])
        chosen.append(f"{peer}: rate {rate}")
        if weight:
            chosen[-1] += f", {PEERS[peer][3]} {weight}"
        model = train_peer(peer, hw9, hw9.EPOCHS, rate, weight)
        for_lines = decode_for_lines(hw9, hw9.MOVED_SHARE)
        decoders = {peer: hw9.plain_decoder, f"{peer}, for lines": for_lines}
        walks += measure_walks(hw9, judges, decoders, bound(model, hw9.test_images))
        drawn |= hw9.make_walks(pairs, hw9.test_images, hw9.encoder, decoders)
    report.publish("peers", {"walks": walks, "chosen": chosen})
    hw9.show(torch.stack(list(drawn.values())), 45, "")
    plt.title(f"From the top: {', '.join(drawn)}", fontsize=6, wrap=True)
    plt.savefig(FIGURES / "peers.png", dpi=200, bbox_inches="tight")


if __name__ == "__main__":
    main()
