"""The loop: what is trained, told, validated, stopped and refused."""

import json
import math

import numpy as np
import pytest

import loom
from loom import (
    ConfigError,
    Dense,
    DeviceError,
    InputError,
    Network,
    ShapeError,
    TrainingError,
)
from loom.training import Trainer, TrainingConfig, train
from loom.training import optimizers as optimizer_module


def net(seed=1, activation="linear"):
    return Network.stack(Dense(3, 4, "tanh"), Dense(4, 2, activation), seed=seed)


def data(count=20, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (count, 3)).astype(np.float32)
    return x, np.stack([x[:, 0] - x[:, 1], x[:, 2]], axis=1)


def bits(network) -> bytes:
    return b"".join(w.tobytes() for row in network.parameters() for w in row.values())


def kinds(trainer) -> list[str]:
    return [event.kind for event in trainer.run()]


def test_one_step_is_forward_backward_update():
    x, t = data(4)
    trained, by_hand = net(), net()
    result = train(trained, [(x, t)], TrainingConfig(epochs=1, learning_rate=0.1))
    y, _ = by_hand.forward_cpu(x)
    by_hand.backward_cpu(2 * (y - t) / y.size)
    by_hand.update_weights(0.1)
    assert result.loss_history == [pytest.approx(float(((y - t) ** 2).mean()))]
    for a, b in zip(trained.parameters(), by_hand.parameters(), strict=True):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_optimizer_learns(optimizer):
    rate = 0.5 if optimizer == "sgd" else 0.03
    config = {"optimizer": optimizer, "learning_rate": rate, "epochs": 200}
    result = train(net(), data(), TrainingConfig(batch_size=5, **config))
    assert result.final_loss < 0.02 < result.loss_history[0]
    assert result.best_loss == min(result.loss_history)
    assert result.loss_history[result.best_epoch - 1] == result.best_loss
    assert (result.epochs, result.steps) == (200, 800)
    assert result.avg_throughput > 0
    assert 0 < result.seconds < 60


@pytest.mark.parametrize(
    "form",
    [
        lambda x, t: [(x[:8], t[:8]), (x[8:16], t[8:16]), (x[16:], t[16:])],
        lambda x, t: iter([(x[:8], t[:8]), (x[8:16], t[8:16]), (x[16:], t[16:])]),
        lambda x, t: [
            {"Input": x[:8].ravel(), "Target": t[:8].ravel()},
            {"Inputs": x[8:16].tolist(), "Targets": t[8:16].tolist()},
            {"input": x[16:], "target": t[16:]},
        ],
    ],
    ids=["pairs", "iterator", "mappings"],
)
def test_batches_come_in_any_form(form):
    x, t = data()
    config = TrainingConfig(epochs=3, shuffle=False, batch_size=8)
    wanted, got = net(), net()
    train(wanted, (x, t), config)
    train(got, form(x, t), TrainingConfig(epochs=3, shuffle=False))
    assert bits(wanted) == bits(got)


def test_a_pair_without_batch_size_is_cut_into_32s_and_the_last_is_smaller():
    trainer = Trainer(net(), data(70), TrainingConfig(epochs=1))
    parts = [trainer.batches.batch(i, None)[0] for i in range(3)]
    assert [len(x) for x in parts] == [32, 32, 6]
    assert {event.batches for event in trainer.run()} == {3}
    assert trainer.samples == 70


def test_every_sample_counts_once_in_an_epochs_loss():
    x, t = data(5)
    config = TrainingConfig(epochs=1, batch_size=4, learning_rate=1e-30, shuffle=False)
    network = net()
    y, _ = network.forward_cpu(x)
    loss = train(network, (x, t), config).final_loss
    assert loss == pytest.approx(float(((y - t) ** 2).mean()), rel=1e-5)


def test_shuffling_is_by_seed_and_new_each_epoch():
    def orders(seed, network_seed=1):
        config = TrainingConfig(seed=seed, batch_size=4)
        trainer = Trainer(net(network_seed), data(), config)
        return [trainer.batches.order(trainer.seed, e).tolist() for e in range(3)]

    assert orders(5) == orders(5)
    assert orders(5)[0] != orders(5)[1]
    assert orders(5) != orders(6)
    assert orders(None, 7) == orders(7, 1)
    for order in orders(5):
        assert sorted(order) == list(range(20))


def test_batches_as_given_are_shuffled_as_batches():
    x, t = data(6)
    batches = [(x[i : i + 2], t[i : i + 2]) for i in (0, 2, 4)]
    trainer = Trainer(net(), batches, TrainingConfig(seed=2))
    order = trainer.batches.order(2, 0)
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_array_equal(
        trainer.batches.batch(0, order)[0], x[2 * order[0] :][:2]
    )


def test_the_same_seed_trains_the_same_bits():
    config = TrainingConfig(epochs=4, batch_size=3, optimizer="adam")
    one, two, other = net(), net(), net()
    train(one, data(), config)
    train(two, data(), config)
    train(
        other, data(), TrainingConfig(epochs=4, batch_size=3, optimizer="adam", seed=9)
    )
    assert bits(one) == bits(two) != bits(other)


def test_updates_in_blocks_are_updates(monkeypatch):
    for config in ({"momentum": 0.9}, {"optimizer": "adam", "weight_decay": 0.1}):
        whole, blocks = net(), net()
        train(whole, data(), TrainingConfig(epochs=3, **config))
        monkeypatch.setattr(optimizer_module, "_BLOCK", 5)
        train(blocks, data(), TrainingConfig(epochs=3, **config))
        monkeypatch.undo()
        assert bits(whole) == bits(blocks)


def test_gradients_are_clipped_by_their_global_norm():
    x, t = data()
    config = TrainingConfig(epochs=1, gradient_clip=1e-3, learning_rate=1.0)
    network = net()
    before = bits(network)
    train(network, [(x, t * 100)], config)
    moved = np.frombuffer(bits(network), np.float32) - np.frombuffer(before, np.float32)
    assert np.linalg.norm(moved) == pytest.approx(1e-3, rel=1e-3)


# What is told ------------------------------------------------------------------------


def test_events_in_order():
    trainer = Trainer(net(), data(6), TrainingConfig(epochs=2, batch_size=3))
    assert kinds(trainer) == ["batch", "batch", "epoch"] * 2 + ["done"]
    trainer = Trainer(net(), data(6), TrainingConfig(epochs=2, batch_size=3))
    first, second, epoch, *_, last = list(trainer.run())
    assert (first.epoch, first.epochs, first.batch, first.batches) == (1, 2, 1, 2)
    assert (second.step, second.batch) == (2, 2)
    assert second.average_loss == pytest.approx((first.loss + second.loss) / 2)
    assert epoch.loss == pytest.approx(second.average_loss)
    assert epoch.learning_rate == 0.01
    assert first.eta_seconds > 0 == last.eta_seconds
    assert last.step == 4
    wire = epoch.to_wire()
    assert wire["Kind"] == "epoch"
    assert wire["Loss"] == epoch.loss
    json.dumps(wire, allow_nan=False)


def test_a_callback_sees_each_event_and_stops_with_false():
    seen = []

    def callback(event):
        seen.append(event.kind)
        return False if event.step == 3 else None

    result = train(net(), data(6), TrainingConfig(epochs=9, batch_size=2), callback)
    assert result.stopped
    assert result.steps == 3
    assert seen == ["batch", "batch", "batch", "epoch", "stopped"]
    for value in (None, 0, True):
        result = train(net(), data(6), TrainingConfig(epochs=1), lambda e, v=value: v)
        assert not result.stopped


def test_a_stopped_trainer_goes_on_where_it_stood():
    config = TrainingConfig(epochs=5, batch_size=3, momentum=0.9)
    whole, halves = Trainer(net(), data(), config), Trainer(net(), data(), config)
    kinds(whole)
    for event in halves.run():
        if event.step == 8:
            halves.stop()
    assert halves.result.stopped
    assert halves.result.steps == 8
    assert halves.result.epochs == 1
    kinds(halves)
    assert not halves.result.stopped
    assert bits(whole.net) == bits(halves.net)
    assert whole.result.loss_history == halves.result.loss_history


def test_a_stop_counts_from_the_call_of_run_on():
    trainer = Trainer(net(), data(), TrainingConfig(epochs=5))
    trainer.stop()  # of nothing
    run = trainer.run()
    trainer.stop()
    assert [event.kind for event in run] == ["stopped"]
    assert trainer.result.steps == 0
    assert kinds(trainer)[-1] == "done"


def test_layers_stay_while_they_are_trained():
    network = net()
    run = Trainer(network, data(), TrainingConfig(epochs=5, batch_size=3)).run()
    next(run)
    network.set_layer(0, 0, 1, Dense(4, 2, "sigmoid"))
    with pytest.raises(ConfigError, match="was replaced during the training"):
        next(run)
    assert train(network, data(), TrainingConfig(epochs=1)).epochs == 1


def test_an_epoch_whose_losses_are_lost_is_null_and_never_the_best(monkeypatch):
    trainer = Trainer(net(), data(), TrainingConfig(epochs=3, batch_size=3))
    mean = Trainer._mean
    monkeypatch.setattr(
        Trainer, "_mean", lambda self: mean(self) if self.epoch else float("nan")
    )
    kinds(trainer)
    wire = trainer.result.to_wire()
    json.dumps(wire, allow_nan=False)
    assert wire["LossHistory"][0] is None
    assert wire["BestLoss"] == min(wire["LossHistory"][1:])


def test_verbose_prints_a_line_an_epoch(capsys):
    x, t = data()
    held_out = {"validation_inputs": x, "validation_targets": t}
    config = {"epochs": 2, "batch_size": 10, "print_every_batch": 1, "verbose": True}
    train(net(), (x, t), TrainingConfig(**config, **held_out))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "epoch 1/2",
        "epoch 1/2",
        "epoch 1/2",
        "epoch 2/2",
        "epoch 2/2",
        "epoch 2/2",
    ]
    assert "batch 1/2" in lines[0]
    for part in ("validation loss ", "score ", "accuracy ", "samples/s", "eta "):
        assert part in lines[2]
    train(net(), (x, t), TrainingConfig(epochs=2))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("every", [1, 2, 3, 7, 0])
def test_validation_every_n_epochs_and_after_the_last(every):
    x, t = data()
    config = {"epochs": 7, "evaluate_every_n": every, "validation_inputs": x}
    result = train(net(), (x, t), TrainingConfig(validation_targets=t, **config))
    wanted = [e for e in range(1, 8) if every and (e % every == 0 or e == 7)]
    assert [row["epoch"] for row in result.validation_history] == wanted
    if every:
        row = result.validation_history[-1]
        assert row["score"] == result.eval_metrics.score
        assert row["accuracy"] == result.eval_metrics.accuracy
        assert row["loss"] < result.validation_history[0]["loss"] or every == 7
    else:
        assert result.eval_metrics is None
    json.dumps(result.to_wire(), allow_nan=False)


def test_validation_takes_one_class_a_sample():
    x, t = data()
    config = {"epochs": 1, "validation_inputs": x}
    labels = t.argmax(axis=1)
    classes = train(net(), (x, t), TrainingConfig(validation_targets=labels, **config))
    assert classes.validation_history[0]["loss"] is None  # mse has none of a class
    both = train(net(), (x, t), TrainingConfig(validation_targets=t, **config))
    assert classes.eval_metrics.score == both.eval_metrics.score


def test_validation_runs_in_parts(monkeypatch):
    import loom.training.loop as loop

    x, t = data(10)
    config = {"epochs": 1, "validation_inputs": x, "validation_targets": t}
    whole = train(net(), (x, t), TrainingConfig(**config))
    monkeypatch.setattr(loop, "CHUNK", 4)
    trainer = Trainer(net(), (x, t), TrainingConfig(**config))
    events = list(trainer.run())
    parts = [(e.batch, e.batches) for e in events if e.kind == "validation"]
    assert parts == [(1, 3), (2, 3)]
    row, other = trainer.result.validation_history[0], whole.validation_history[0]
    assert row["loss"] == pytest.approx(other["loss"], rel=1e-6)
    assert row["score"] == pytest.approx(other["score"], rel=1e-6)


def test_warmup_and_schedule_are_told():
    config = TrainingConfig(
        epochs=4,
        batch_size=10,
        learning_rate=0.4,
        warmup_steps=4,
        schedule="linear",
        final_learning_rate=0.2,
    )
    trainer = Trainer(net(), data(), config)
    rates = [e.learning_rate for e in trainer.run() if e.kind == "batch"]
    wanted = [0.1, 0.2, 0.3, 0.4, 0.4, 0.35, 0.3, 0.25]
    np.testing.assert_allclose(rates, wanted)


def test_dropouts_masks_differ_from_step_to_step():
    network = net()
    train(network, data(), TrainingConfig(epochs=3, batch_size=5))
    assert network.step == 12


# What is refused ---------------------------------------------------------------------


def refused(kind, *arguments, **settings) -> str:
    with pytest.raises(kind) as caught:
        Trainer(net(), *arguments, TrainingConfig(**settings))
    return str(caught.value)


def test_asking_for_a_gpu_that_may_not_be_used_is_a_clear_error(monkeypatch):
    monkeypatch.setenv("LOOM_GPU", "none")
    with pytest.raises(DeviceError) as caught:
        net().train(data(), {"UseGPU": True})
    assert str(caught.value) == (
        "no GPU: LOOM_GPU=none forbids it. Unset LOOM_GPU, or use the CPU."
    )


@pytest.mark.parametrize(
    ("batches", "text"),
    [
        ([], "expected at least one batch, got none"),
        (3, "got int"),
        ("ab", "got str"),
        (np.ones((2, 3)), "got ndarray"),
        ([(np.ones((2, 3)),)], "batch 1 of 1: expected a pair"),
        (([[1, 2, 3]] * 4, [[1, 0]] * 4), "list of 4. One pair alone is [(inputs"),
        ([{"Input": [1, 2, 3]}], "expected Input and Target, got Input"),
        ([{"Imput": [1], "Target": [1]}], "Did you mean 'Input'"),
        ([{"Input": [1, 2, "a"], "Target": [1, 1]}], "expected numbers in rows"),
        ([{"Input": [1, 2, np.nan], "Target": [1, 1]}], "got nan at index (2,)"),
        (
            [data(2), (np.ones((2, 3)), np.full((2, 2), np.inf))],
            "batch 2 of 2: targets",
        ),
    ],
)
def test_bad_batches_are_refused(batches, text):
    assert text in refused(InputError, batches)


@pytest.mark.parametrize(
    ("inputs", "targets", "text"),
    [
        ((2, 4), (2, 2), "batch 1 of 1: expected inputs of shape (B, 3)"),
        ((0, 3), (0, 2), "at least one sample"),
        ((2, 3), (3, 2), "expected targets of shape (2, 2), got (3, 2)"),
        ((2, 3), (2, 3), "expected targets of shape (2, 2), got (2, 3)"),
        ((2, 3), (2,), "One class index a sample needs loss_type='softmax_cross"),
    ],
)
def test_wrong_shapes_are_refused(inputs, targets, text):
    batch = np.ones(inputs), np.ones(targets)
    assert text in refused(ShapeError, [batch])


@pytest.mark.parametrize("bad", [-1, 2, 0.5])
def test_class_indices_are_checked(bad):
    text = refused(
        InputError, [(np.ones((2, 3)), [0, bad])], loss_type="softmax_cross_entropy"
    )
    assert f"expected class indices 0 to 1, got {bad:g}" in text


def test_mixed_kinds_of_targets_are_refused():
    x = np.ones((2, 3))
    batches = [(x, [0, 1]), (x, np.eye(2))]
    settings = {"loss_type": "softmax_cross_entropy", "batch_size": 2}
    assert "batch 2 of 2: expected targets as in batch 1" in refused(
        InputError, batches, **settings
    )


def test_a_loss_that_explodes_stops_before_it_changes_the_weights():
    x, t = data()
    network = net()
    with pytest.raises(TrainingError) as caught:
        train(network, [(x, t * 1e20)], TrainingConfig(epochs=3, learning_rate=1e20))
    text = str(caught.value)
    assert text.startswith("epoch ")
    assert (
        "The weights are those before this batch. Set learning_rate below 1e+20" in text
    )
    assert "or gradient_clip=1.0" in text
    assert all(
        np.isfinite(w).all() for row in network.parameters() for w in row.values()
    )


def test_cross_entropy_of_what_is_no_probability_says_so():
    with pytest.raises(TrainingError) as caught:
        train(net(), [(data()[0], [0] * 20)], TrainingConfig(loss_type="cross_entropy"))
    assert "epoch 1, batch 1 of 1: cross_entropy: expected probabilities" in str(
        caught.value
    )
    assert "or set loss_type='softmax_cross_entropy'" in str(caught.value)


def test_cross_entropy_is_finite_where_the_probability_is_zero():
    row = loom.training.loss("cross_entropy")
    value, dy = row(np.array([[0.0, 1.0]], np.float32), np.array([0]))
    assert 60 < value < 80
    assert np.isfinite(dy).all()
    value, dy = row(
        np.array([[0.0, 1.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    )
    assert value == 0
    assert math.isfinite(float(dy.sum()))
