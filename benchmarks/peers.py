"""`make peers`: the autoencoders of a library, judged as the notebook judges its own.

Classes and trainers are those of pythae (Chadebec et al. 2022); networks (the decoder's
first layer a textbook one), images, epochs, optimizer and schedule are the notebook's.
Rate and weight are chosen on the validation part, after three epochs, by the Fréchet
distance half way between two digits. A run that was cut off goes on with what is
missing in data/weights. `--quick`: small, on the sample, and leaves nothing.
"""

import itertools
import logging
import os
import sys
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

import torch
from bench import PROJECT, fill, headline, measure_walks, run_cells, train_notebook
from conftest import read_cells
from pythae import models, trainers
from pythae.data.datasets import BaseDataset
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch.nn.functional import normalize
from torch.utils.data import DataLoader
from walks import draw_peers, five_walks

RATES, BCE = [3e-3, 1e-2], {"reconstruction_loss": ["bce"]}
GAN = {"reconstruction_layer": [1], "adversarial_loss_scale": [0.1, 0.5, 0.9]}
PEERS = {  # class (_ as in its configuration), trainer, settings: values to choose from
    "autoencoder": ("AE", "Base", {}),
    "VAE": ("VAE", "Base", BCE),
    "β-VAE": ("BetaVAE", "Base", BCE | {"beta": [0.5]}),
    "VampPrior": ("VAMP", "Base", BCE | {"number_components": [50, 100]}),
    "hyperspherical": ("SVAE", "Base", BCE),
    "WAE-MMD": ("WAE_MMD_", "Base", {"reg_weight": [1, 10, 100]}),
    "InfoVAE": ("INFOVAE_MMD_", "Base", BCE | {"lbd": [10, 100, 1000]}),
    "RAE-L2": ("RAE_L2_", "CoupledOptimizer", {"embedding_weight": [1e-3, 1e-2, 0.1]}),
    "adversarial AE": ("Adversarial_AE_", "Adversarial", dict(BCE)),
    "VAE-GAN": ("VAEGAN", "CoupledOptimizerAdversarial", GAN),
}
PEERS["adversarial AE"][2]["reconstruction_loss_scale"] = [0.003, 0.03, 0.3]


def wrap(Base, names):
    """Return the notebook's encoder or decoder as the library wants it."""
    part, name = Base(), "Encoder" if Base is BaseEncoder else "Decoder"
    part.network = names[name](names["LATENT_DIM"])

    def forward(x, **_):
        with torch.autocast("cpu", torch.bfloat16, enabled=names["FAST"]):
            output = part.network(x)
        if Base is BaseDecoder:
            return ModelOutput(reconstruction=output.float()[:, None])
        mu, logvar = (each.float() for each in output)
        spread = {"log_covariance": logvar, "log_concentration": logvar[:, :1]}
        return ModelOutput(embedding=mu, **spread)  # the latter is for a sphere

    part.forward = forward
    return part


def train_peer(peer, names, epochs, rate, settings):
    """Make a peer, and train it as the library does; return it, and seconds."""
    (kind, trainer, _), loader = PEERS[peer], names["train_loader"]
    torch.manual_seed(names["SEED"])
    settings = settings | {"input_dim": (1, 28, 28), "latent_dim": names["LATENT_DIM"]}
    config = getattr(models, kind + "Config")(**settings)
    parts = wrap(BaseEncoder, names), wrap(BaseDecoder, names)
    model = getattr(models, kind.strip("_"))(config, *parts)
    recipe = {"learning_rate": rate, "optimizer_cls": "AdamW"}
    recipe["optimizer_params"] = {"betas": (0.85, 0.9), "fused": True}
    steps = names["CYCLE"] | {"max_lr": rate, "total_steps": epochs * len(loader) + 1}
    recipe |= {"scheduler_cls": "OneCycleLR", "scheduler_params": steps}
    Config = getattr(trainers, trainer + "TrainerConfig")
    config = Config("data", num_epochs=epochs, seed=names["SEED"])
    for field, (end, value) in itertools.product(vars(config).copy(), recipe.items()):
        if field.endswith(end):  # for each part that has an optimizer of its own
            setattr(config, field, value)
    data = BaseDataset(names["train_images"], names["train_labels"])
    run = getattr(trainers, trainer + "Trainer")(model, data, None, config)
    run.train_loader = DataLoader(data, batch_size=None, sampler=loader.sampler)
    run.training_dir = ""
    step, advance = run._optimizers_step, run._schedulers_step
    run._optimizers_step = lambda output: (step(output), advance())  # not once an epoch
    run._set_output_dir = run.save_model = run._schedulers_step = lambda *_, **__: None
    start = time.perf_counter()
    run.train()
    return model.eval(), time.perf_counter() - start


def judge_peer(model, names, bent=False):
    """Return what judges say of lines between codes, or of lines bent onto a sphere."""
    unit = normalize if isinstance(model, models.SVAE) else torch.clone
    bend = normalize if bent else torch.clone
    names["encoder"] = lambda x: [unit(model.encoder(x).embedding)]
    names["plain_decoder"] = lambda z: model.decoder(bend(z)).reconstruction
    return measure_walks(names)


def run_one(peer, settings, trial):
    """Return {name: results} of a peer, or of the notebook's own VAE."""
    names, tried, rows = {"__name__": "__main__"}, [], {}
    if peer == "ours":
        curve, seconds = train_notebook(names, settings, True)
        row = {"curve": curve, "seconds": [sum(seconds)], "walks": measure_walks(names)}
        return {peer: row | {"images": five_walks(names)}}
    settings = settings | {"CORNER_DISTANCE": 0.0, "TEMPERATURE": 1.0}
    run_cells(names, "imports", "saving", settings, False)
    labels = names["labels"][names["kept"] :]
    split = {"test_images": names["val_images"], "test_labels": labels}
    held_out = names | split | {"mnist_test": SimpleNamespace(targets=labels)}
    for rate, *values in itertools.product(RATES, *PEERS[peer][2].values()):
        chosen = rate, dict(zip(PEERS[peer][2], values, strict=True))
        model, _ = train_peer(peer, names, trial, *chosen)
        two = judge_peer(model, held_out)["judge"]["two digits"]
        tried.append((two["Fréchet distance, half way"], len(tried), chosen))
    print(peer, *tried, sep="\n")
    model, seconds = train_peer(peer, names, names["EPOCHS"], *min(tried)[2])
    with torch.no_grad():
        parts = [model({"data": x}) for x in names["test_images"].split(1000)]
    bounds = [p.recon_loss + p.reg_loss for p in parts if "reg_loss" in p]
    curve = [[float(bound) / len(parts) for bound in bounds]]  # no KL: no bound
    for name in [peer, peer + ", bent"][: 1 + (peer == "hyperspherical")]:
        rows[name] = {"curve": curve, "seconds": [seconds]}
        rows[name]["walks"] = judge_peer(model, names, name != peer)
        rows[name]["images"] = five_walks(names)
    return rows


if __name__ == "__main__":
    quick = "--quick" in sys.argv
    os.chdir(PROJECT)
    logging.disable(logging.INFO)
    data = {"DATASET": "sample", "EPOCHS": 1} if quick else {"DATASET": "mnist"}
    results = {}
    for peer in [*PEERS, "ours"]:
        made_of = repr([RATES, PEERS.get(peer), read_cells()]).encode()
        path = Path("data", "weights", f"peer_{peer}_{zlib.crc32(made_of):x}.pt")
        if not quick and not path.exists():
            torch.save(run_one(peer, data, 3), path)
        results |= run_one(peer, data, 1) if quick else torch.load(path)
    table = headline(results, seconds=True)
    print(table)
    if not quick:
        draw_peers(results, Path("figures", "peers.png"))
        better = {name: results[name] for name in ("autoencoder", "β-VAE", "VampPrior")}
        fill({"peers": table, "better": headline(better, brief=True)})
