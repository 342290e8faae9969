"""The callback in Lightning's Trainer: the books of its loop balance, and the training is bitwise as it was."""

import lightning
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.nn import functional as F

import nld
from nld.errors import InvalidInput
from nld.integrations.lightning import MonitorCallback
from nld.monitor.finding import tolerance

pytestmark = pytest.mark.filterwarnings("ignore:.*num_workers", "ignore:.*GPU", "ignore:.*logging interval")


class Classifier(lightning.LightningModule):
    """Calls itself in ``training_step``."""

    def __init__(self, optimizers=1):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 3))
        self.automatic_optimization = optimizers == 1

    def forward(self, x):
        return self.network(x)

    def output(self, x):
        return self(x)

    def training_step(self, batch, _):
        loss = F.cross_entropy(self.output(batch[0]), batch[1])
        self.log("loss", loss)
        if self.automatic_optimization:
            return loss
        for optimizer in self.optimizers():
            optimizer.zero_grad()
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()
        return None

    def configure_optimizers(self):
        if self.automatic_optimization:
            return torch.optim.AdamW(self.parameters(), lr=1e-2)
        matrices = [p for p in self.parameters() if p.ndim == 2]
        rest = [p for p in self.parameters() if p.ndim < 2]
        return [torch.optim.SGD(matrices, lr=0.1, momentum=0.9), torch.optim.SGD(rest, lr=0.05, momentum=0.9)]


class Bypassing(Classifier):
    """Calls its network, not itself."""

    def output(self, x):
        return self.network(x)


def train(module, callback=None, folder=None, steps=6, resume=None, **settings):
    generator = torch.Generator().manual_seed(2)
    data = [(torch.randn(6, generator=generator), int(i % 3)) for i in range(32)]
    loader = torch.utils.data.DataLoader(data, batch_size=8, shuffle=True)
    fixed = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
    fixed |= {"logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    trainer = lightning.Trainer(
        max_steps=steps, default_root_dir=folder, callbacks=[callback] if callback else [], **fixed | settings
    )
    torch.manual_seed(5)
    trainer.fit(module, loader, ckpt_path=resume, weights_only=False)
    return trainer


@pytest.mark.parametrize("settings", [{}, {"accumulate_grad_batches": 2}, {"gradient_clip_val": 0.1}], ids=str)
def test_books_balance_and_the_training_is_bitwise_the_same(settings):
    callback = MonitorCallback(loss=F.cross_entropy)
    modules = [Classifier(), Classifier()]
    train(modules[0], **settings)
    train(modules[1], callback, **settings)
    states = [module.state_dict().values() for module in modules]
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))
    record = callback.record()
    assert record.step.values.tolist() == list(range(6))
    assert {"scale", "translation", "rescale"} <= set(record.kind.values)
    assert float(record.relative_residual.max()) < tolerance(record)


def test_several_optimizers_with_steps_by_hand():
    callback = MonitorCallback()
    train(Classifier(optimizers=2), callback, steps=12)  # Lightning counts those of each
    record = callback.record()
    assert record.step.values.tolist() == list(range(6))
    assert float(record.relative_residual.max()) < tolerance(record)


def test_a_module_that_bypasses_its_own_call_needs_to_name_what_it_calls():
    with pytest.raises(InvalidInput, match="submodule that is called as module="):
        train(Bypassing(), MonitorCallback())
    callback = MonitorCallback(module="network")
    train(Bypassing(), callback)
    assert callback.record().sizes["step"] == 6


def test_the_trainers_loggers_are_used(tmp_path):
    callback = MonitorCallback(every=2)
    train(Classifier(), callback, tmp_path, logger=CSVLogger(tmp_path, name="", version=0), log_every_n_steps=1)
    text = (tmp_path / "version_0" / "metrics.csv").read_text()
    assert "nld/squared_norm/network.0.weight_network.0.bias" in text.splitlines()[0]


def test_what_an_exception_ends_is_saved(tmp_path):
    class Failing(Classifier):
        def training_step(self, batch, index):
            if self.global_step == 3:
                raise ZeroDivisionError
            return super().training_step(batch, index)

    with pytest.raises(ZeroDivisionError):
        train(Failing(), MonitorCallback(path=tmp_path / "record.nc"))
    assert nld.monitor.load(tmp_path / "record.nc").step.values.tolist() == [0, 1, 2]


def test_a_resumed_training_goes_on_counting(tmp_path):
    module, callback = Classifier(), MonitorCallback()
    train(module, steps=4).save_checkpoint(tmp_path / "checkpoint.ckpt")
    train(Classifier(), callback, resume=tmp_path / "checkpoint.ckpt")
    assert callback.record().step.values.tolist() == [4, 5]
