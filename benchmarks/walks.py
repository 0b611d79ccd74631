"""Draw figures/interpolation.gif, the twenty walks in motion (`make notebook`)."""

from pathlib import Path

import matplotlib
import torch
from bench import PROJECT, run_cells
from PIL import Image
from torchvision.utils import make_grid

matplotlib.use("agg")
names = {"__name__": "__main__"}
run_cells(names, "imports", "pairs", {})  # with the weights that are saved
test = names["mnist_test"]
pairs = torch.cat([names["same_pairs"], names["different_pairs"]])
A, B = (torch.stack([test[i][0] for i in end]) for end in pairs.T.tolist())
t = torch.arange(25) / 24
walks = names["decode_walks"](names["encoder"], names["decoder"], A, B, t)
order = torch.arange(20).reshape(2, 2, 5).transpose(0, 1).flatten()  # same digit: left
images = walks[order].unbind(1)
frames = []
for decoded in images + images[-2:0:-1]:
    sheet = make_grid(1 - decoded[:, None], nrow=10, pad_value=1)[0]
    shades = (sheet.clamp(0, 1) * 15).round() * 17  # 16 grays are enough
    frames.append(Image.fromarray(shades.byte().numpy()))
path = Path(PROJECT, "figures", "interpolation.gif")
frames[0].save(path, save_all=True, append_images=frames[1:], duration=80, loop=0)
