"""The callback in Hugging Face's Trainer: the books of its loop balance, and the training is bitwise as it was."""

import pytest
import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

import nld
from nld.errors import InvalidInput
from nld.integrations.transformers import MonitorCallback
from nld.monitor.finding import tolerance

transformers.logging.set_verbosity_error()


def texts(count=24):
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(17, (count, 8), generator=generator)
    return [{"input_ids": row, "labels": row} for row in tokens]


def train(folder, callback=None, resume=None, **settings):
    """The trainer after a training of a GPT-2 of two layers with dropout."""
    torch.manual_seed(0)
    size = {"n_layer": 2, "n_head": 2, "n_embd": 8, "n_positions": 8, "vocab_size": 17, "layer_norm_epsilon": 1e-10}
    model = GPT2LMHeadModel(GPT2Config(**size, bos_token_id=0, eos_token_id=0, use_cache=True))
    fixed = {"report_to": [], "disable_tqdm": True, "use_cpu": True, "save_strategy": "no", "logging_strategy": "no"}
    settings = fixed | {"max_steps": 6, "per_device_train_batch_size": 4, "learning_rate": 1e-2} | settings
    trainer = Trainer(
        model,
        TrainingArguments(folder, **settings),
        train_dataset=texts(),
        eval_dataset=texts(4),
        callbacks=[] if callback is None else [callback],
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


SETTINGS = {
    "plain": {},
    "decay": {"weight_decay": 0.1},
    "accumulated": {"gradient_accumulation_steps": 2},
    "half precision": {"bf16": True},
    "evaluated at the start": {"eval_on_start": True, "eval_strategy": "steps", "eval_steps": 2},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_books_balance_and_the_training_is_bitwise_the_same(tmp_path, name):
    callback = MonitorCallback()
    states = [train(tmp_path, chosen, **SETTINGS[name]).model.state_dict() for chosen in (None, callback)]
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))
    record = callback.record()
    assert record.step.values.tolist() == list(range(6))
    assert record.attrs["output"].startswith("output.loss")
    assert {"translation", "general_linear"} <= set(record.kind.values)
    assert float(record.relative_residual.max()) < tolerance(record)


def test_a_resumed_training_goes_on_counting(tmp_path):
    callbacks = [MonitorCallback(path=tmp_path / f"{i}.nc") for i in range(2)]
    train(tmp_path, callbacks[0], save_strategy="steps", save_steps=4)
    train(tmp_path, callbacks[1], resume=str(tmp_path / "checkpoint-4"))
    whole, rest = (nld.monitor.load(tmp_path / f"{i}.nc") for i in range(2))
    assert rest.step.values.tolist() == [4, 5]
    last = whole.sel(step=rest.step)
    assert float(abs(rest.squared_norm - last.squared_norm).max()) == pytest.approx(0, abs=1e-6)


def test_options_go_to_the_monitor_and_a_submodule_may_be_watched(tmp_path):
    logged = {}
    log = lambda scalars, step: logged.__setitem__(step, scalars)  # noqa: E731
    callback = MonitorCallback(module="transformer.h.0", every=2, units="mean", log=log)
    train(tmp_path, callback)
    record = callback.record()
    assert record.step.values.tolist() == [0, 2, 4] == sorted(logged)
    assert record.sizes["unit"] == 1
    assert record.sizes["block"]
    assert not any("transformer" in names for names in record.parameters.values)
    assert {name.split("/")[0] for name in logged[0]} == {"nld"}


def test_what_cannot_be_meant_is_said(tmp_path):
    with pytest.raises(InvalidInput, match=r"submodule, got 'transformer\.j'"):
        train(tmp_path, MonitorCallback(module="transformer.j"))
    with pytest.raises(InvalidInput, match="has begun"):
        MonitorCallback().record()
