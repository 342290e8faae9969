"""Training throughput of VGG-11 at 64×64 on a GPU: images a second, and the fraction of its bfloat16 peak.

The floor: a step cannot be faster than its floating-point operations, counted on the network itself, divided by what a
large matrix product reaches in the same run. The loop timed is `nld.experiment.run`, between two of its own reports; it
is compared with the loop that most people write: float32, a DataLoader with worker processes, no compilation.
"""

import time

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from nld.experiment import Experiment
from nld.experiment.datasets import data
from nld.experiment.runs import run
from nld.experiment.training import networks

CLASSES, SIZE, IMAGES = 200, 64, 20_000
STEPS, WARM_UP = 400, 150  # multiples of 50, at which run reports
VARIANTS: dict[str, dict] = {
    "float32": {"precision": "float32"},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, channels last": {"precision": "bfloat16", "channels_last": True},
    "bfloat16, channels last, compiled": {"precision": "bfloat16", "channels_last": True, "compile": True},
}


def table(batch_sizes: tuple[int, ...] = (128, 512)) -> list[dict]:
    """One row a variant and batch size; one row that says why where there is no GPU."""
    if not torch.cuda.is_available():
        return [{"variant": "skipped", "why": "no GPU that torch can use: run it on a machine with CUDA"}]
    data.DATASETS["random-64"] = _random_images
    peak, flops = peak_flops(), training_flops()
    rows = []
    for batch_size in batch_sizes:
        rates = {"the usual loop": usual_images_per_second(batch_size)}
        for name, fields in VARIANTS.items():
            rates[name] = images_per_second(batch_size, **fields)
        rows += [
            {
                "variant": name,
                "batch_size": batch_size,
                "device": torch.cuda.get_device_name(),
                "images_per_second": rate,
                "flops_per_image": flops,
                "peak_tflops": peak / 1e12,
                "fraction_of_peak": rate * flops / peak,
                "times_usual": rate / rates["the usual loop"],
            }
            for name, rate in rates.items()
        ]
    return rows


def training_flops() -> float:
    """Floating-point operations of forward and backward pass for one image, counted by torch."""
    network = networks.build("vgg11", (3, SIZE, SIZE), CLASSES, width=1.0, epsilon=1e-5, seed=0)
    counter = FlopCounterMode(display=False)
    with counter:
        network(torch.zeros(2, 3, SIZE, SIZE)).sum().backward()
    return counter.get_total_flops() / 2


def peak_flops(size: int = 8192, repeats: int = 30) -> float:
    """Operations a second of a bfloat16 product of two square matrices."""
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        a @ b
    torch.cuda.synchronize()
    clock = time.perf_counter()
    for _ in range(repeats):
        a @ b
    torch.cuda.synchronize()
    return 2 * size**3 * repeats / (time.perf_counter() - clock)


def images_per_second(
    batch_size: int, device: str = "cuda", steps: int = STEPS, warm_up: int = WARM_UP, **fields
) -> float:
    """Throughput of `run` between two of its reports, at each of which it has waited for the device."""
    times: dict[int, float] = {}
    experiment = Experiment(
        network="vgg11",
        dataset="random-64",
        device=device,
        batch_size=batch_size,
        steps=steps,
        evaluate_every=steps,
        evaluation_size=256,
        epsilon=1e-5,
        augment=True,
        divergence_bound=1e30,
        **fields,
    )
    # evaluation at the end comes before the report of the last step: stop at the one before
    run(experiment, progress=lambda step: times.setdefault(step, time.perf_counter()))
    return batch_size * (steps - 50 - warm_up) / (times[steps - 50] - times[warm_up])


def usual_images_per_second(batch_size: int, device: str = "cuda", workers: int = 8, steps: int = 60) -> float:
    """The loop of most tutorials: images transformed one by one in worker processes, float32, no compilation."""
    source = _random_images()
    network = networks.build("vgg11", source.image, CLASSES, width=1.0, epsilon=1e-5, seed=0).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    loader = DataLoader(
        _Transformed(source), batch_size, shuffle=True, num_workers=workers, drop_last=True, pin_memory=device == "cuda"
    )
    warm_up, done, clock = steps // 3, 0, 0.0
    while True:
        for images, labels in loader:
            if done == warm_up:
                clock = time.perf_counter()
            loss = F.cross_entropy(network(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # most loops print it
            done += 1
            if done == steps:
                return batch_size * (steps - warm_up) / (time.perf_counter() - clock)


class _Transformed(Dataset):
    def __init__(self, source: data.Data):
        self.source = source

    def __len__(self) -> int:
        return len(self.source.train_labels)

    def __getitem__(self, index: int):
        image = self.source.normalized(self.source.train_images[index], torch.float32)
        image = image.flip(-1) if torch.rand(()) < 0.5 else image
        top, left = torch.randint(0, SIZE // 4 + 1, (2,)).tolist()
        image = F.pad(image, (SIZE // 8,) * 4)[:, top : top + SIZE, left : left + SIZE]
        return image, self.source.train_labels[index]


def _random_images() -> data.Data:
    generator = torch.Generator().manual_seed(0)
    shape = (IMAGES, 3, SIZE, SIZE)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (IMAGES,), generator=generator)
    half = torch.full((3, 1, 1), 127.5, dtype=torch.float64)
    return data.Data(
        name="random-64",
        classes=CLASSES,
        train_images=images,
        train_labels=labels,
        test_images=images[:256],
        test_labels=labels[:256],
        mean=half,
        scale=half / 2,
        checksum="",
    )


if __name__ == "__main__":
    for row in table():
        print(row)
