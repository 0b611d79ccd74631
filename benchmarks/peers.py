"""`make peers`: the autoencoders of a library, judged as the notebook judges its own.

Classes and trainers are those of pythae (Chadebec et al. 2022); networks (the decoder's
first layer a textbook one), images, epochs, optimizer and schedule are the notebook's.
Rate and weight are chosen on the validation part, after three epochs, by the Fréchet
distance half way between two digits. Writes benchmarks/peers.json. `--quick` does it
small, on the sample, and changes nothing.
"""

import itertools
import logging
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import cells
import report
import torch
from notebook import PROJECT, read_cells
from pythae import models, trainers
from pythae.data.datasets import BaseDataset
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import nn
from torch.nn.functional import normalize
from torch.utils.data import DataLoader
from walks import draw_peers, first_rows

RATES = [3e-3, 1e-2]
BCE = {"reconstruction_loss": ["bce"]}
PEERS = {  # class (_ as in its configuration), trainer, settings: values to choose from
    "autoencoder": ("AE", "Base", {}),
    "VAE": ("VAE", "Base", BCE),
    "β-VAE": ("BetaVAE", "Base", BCE | {"beta": [0.5]}),
    "VampPrior": ("VAMP", "Base", BCE | {"number_components": [50, 100]}),
    "hyperspherical": ("SVAE", "Base", BCE),
    "WAE-MMD": ("WAE_MMD_", "Base", {"reg_weight": [1, 10, 100]}),
    "InfoVAE": ("INFOVAE_MMD_", "Base", BCE | {"lbd": [10, 100, 1000]}),
    "RAE-L2": ("RAE_L2_", "CoupledOptimizer", {"embedding_weight": [1e-3, 1e-2, 0.1]}),
    "adversarial AE": (
        "Adversarial_AE_",
        "Adversarial",
        BCE | {"reconstruction_loss_scale": [0.003, 0.03, 0.3]},
    ),
}


class LibraryEncoder(BaseEncoder):
    """The notebook's encoder as the library wants it."""

    def __init__(self, network):
        """Take the notebook's."""
        super().__init__()
        self.network = network

    def forward(self, x, **_):
        """Return all that any of the library's models asks for."""
        mu, logvar = self.network(x)
        sphere = {"log_concentration": logvar[:, :1]}
        return ModelOutput(embedding=mu, log_covariance=logvar, **sphere)


class LibraryDecoder(BaseDecoder):
    """The notebook's decoder as the library wants it."""

    def __init__(self, network):
        """Take the notebook's."""
        super().__init__()
        self.network = network

    def forward(self, z, **_):
        """Return images (B, 1, 28, 28)."""
        return ModelOutput(reconstruction=self.network(z)[:, None])


class PeerEncoder(nn.Module):
    """A peer's encoder as the notebook wants it."""

    def __init__(self, model):
        """Take a trained model of the library."""
        super().__init__()
        self.model = model

    def forward(self, x):
        """Return codes, on the sphere if the model's are, and nothing more."""
        mu = self.model.encoder(x).embedding
        return normalize(mu) if isinstance(self.model, models.SVAE) else mu, None


class PeerDecoder(nn.Module):
    """A peer's decoder as the notebook wants it."""

    def __init__(self, model, bent):
        """Take a trained model; bent: bend lines of codes onto the sphere."""
        super().__init__()
        self.model = model
        self.bent = bent

    def forward(self, z):
        """Return images (B, 1, 28, 28)."""
        return self.model.decoder(normalize(z) if self.bent else z).reconstruction


def configure(trainer, epochs, seed, rate):
    """Return a trainer's configuration, AdamW for each part that has an optimizer."""
    config = getattr(trainers, trainer + "TrainerConfig")
    config = config("data", num_epochs=epochs, seed=seed)
    recipe = {"learning_rate": rate, "optimizer_cls": "AdamW"}
    recipe["optimizer_params"] = {"betas": (0.85, 0.9), "fused": True}
    for field, (end, value) in itertools.product(vars(config).copy(), recipe.items()):
        if field.endswith(end):
            setattr(config, field, value)
    return config


def train_peer(peer, hw9, epochs, rate, settings):
    """Make a peer, train it as the library does, and return it."""
    kind, trainer, _ = PEERS[peer]
    loader = hw9.train_loader
    torch.manual_seed(hw9.SEED)
    shape = {"input_dim": (1, 28, 28), "latent_dim": hw9.LATENT_DIM}
    encoder = LibraryEncoder(hw9.Encoder(hw9.LATENT_DIM))
    decoder = LibraryDecoder(hw9.Decoder(hw9.LATENT_DIM))
    config = getattr(models, kind + "Config")(**settings, **shape)
    model = getattr(models, kind.strip("_"))(config, encoder, decoder)
    data = BaseDataset(hw9.train_images, hw9.train_labels)
    config = configure(trainer, epochs, hw9.SEED, rate)
    run = getattr(trainers, trainer + "Trainer")(model, data, None, config)
    run.train_loader = DataLoader(data, batch_size=None, sampler=loader.sampler)
    run.training_dir = ""
    get_ready = run.prepare_training
    step = run._optimizers_step
    schedules = []

    def prepare_training():
        get_ready()
        for name, value in vars(run).items():
            if name.endswith("optimizer"):
                schedules.append(hw9.one_cycle(value, epochs * len(loader)))

    def step_both(output):
        step(output)
        for schedule in schedules:  # at each step; the library's own: once an epoch
            schedule.step()

    run.prepare_training = prepare_training
    run._optimizers_step = step_both
    run._set_output_dir = run.save_model = lambda *_, **__: None
    run.train()
    return model.eval()


def judge_peer(model, hw9, judges, temperature=1.0, bent=False):
    """Return what judges say of lines between codes, or of lines bent onto a sphere."""
    hw9.encoder = PeerEncoder(model)
    hw9.plain_decoder = PeerDecoder(model, bent)
    return cells.measure_walks(hw9, judges, temperature)


def choose(peer, hw9, judges, epochs):
    """Return the rate and settings with which a peer does best on validation."""
    labels = hw9.all_train_labels[-hw9.held_out :]
    split = {"test_images": hw9.val_images, "test_labels": labels}
    validation = SimpleNamespace(**vars(hw9) | split)
    best = float("inf")
    options = PEERS[peer][2]
    for rate, *values in itertools.product(RATES, *options.values()):
        settings = dict(zip(options, values, strict=True))
        try:
            model = train_peer(peer, hw9, epochs, rate, settings)
        except RuntimeError as problem:
            if "should be between 0 and 1" not in str(problem):
                raise
            print(peer, rate, settings, "diverged: pixels are nan")
            continue
        found = judge_peer(model, validation, judges)["judge"]["half way"]
        print(peer, rate, settings, found)
        if found < best:
            best = found
            chosen = rate, settings
    return chosen


def bound(model, images):
    """Return a peer's own −ELBO, or None if it has no KL."""
    total = 0
    with torch.no_grad():
        for x in images.split(1000):
            terms = model({"data": x})
            if "reg_loss" not in terms:
                return None
            total += (terms.recon_loss + terms.reg_loss).item() * len(x)
    return total / len(images)


def run_peer(peer, hw9, judges, trial):
    """Return {name: results} of a peer; two have a second way to decode a line."""
    rate, settings = choose(peer, hw9, judges, trial)
    chosen = {"rate": rate}
    for name, values in PEERS[peer][2].items():
        if len(values) > 1:
            chosen[name] = settings[name]
    model = train_peer(peer, hw9, hw9.EPOCHS, rate, settings)
    nats = bound(model, hw9.test_images)
    ways = {peer: {}}
    if peer == "VAE":
        ways["VAE, temperature"] = {"temperature": hw9.TEMPERATURE}
    if peer == "hyperspherical":
        ways["hyperspherical, bent"] = {"bent": True}
    results = {}
    for name, way in ways.items():
        results[name] = {
            "-ELBO": nats,
            "chosen": chosen,
            "walks": judge_peer(model, hw9, judges, **way),
            "pixels": first_rows(hw9, 5, way.get("temperature", 1.0)),
        }
    return results


def main(quick):
    """Train and judge all, and report; quick: print only."""
    os.chdir(PROJECT)
    logging.disable(logging.INFO)
    small = {"DATASET": "sample", "EPOCHS": 1} if quick else {}
    hw9 = cells.begin(
        cells.edited(cells.DECODERS["textbook"]), small | {"CORNER_DISTANCE": 0.0}
    )
    judges = cells.train_judges(hw9)
    results = {}
    for peer in PEERS:
        results |= run_peer(peer, hw9, judges, 1 if quick else 3)
    ours = cells.train_notebook(read_cells(), small)
    results[report.NOTEBOOK] = {
        "-ELBO": ours.history[-1]["-ELBO"],
        "chosen": {},
        "walks": cells.measure_walks(ours, judges, ours.TEMPERATURE),
        "pixels": first_rows(ours, 5, ours.TEMPERATURE),
    }
    pixels = {name: result.pop("pixels") for name, result in results.items()}
    if quick:
        report.show(report.peers_tables(results, report.machine()))
    else:
        draw_peers(pixels, Path("figures", "peers.png"))
        report.save("peers", cells.ALL, results)
        report.main()


if __name__ == "__main__":
    main("--quick" in sys.argv)
