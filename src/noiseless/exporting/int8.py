"""The int8 graph of a bundle: calibrated, measured on photographs that calibration did not see, kept where it is good.

Calibration and measurement take the photographs that ship with the package.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from noiseless import bundle as bundles
from noiseless.bundle import Bundle
from noiseless.errors import BundleError, WorkError
from noiseless.exporting.examples import Example, calibration_examples, held_out_examples
from noiseless.exporting.normalisation import fold_normalisation
from noiseless.exporting.quantise import Layer, Seen, find_layers, quantise
from noiseless.exporting.rounding import products
from noiseless.exporting.session import open_session
from noiseless.metrics import psnr
from noiseless.runtime import Engine, open_engine

Array = npt.NDArray[np.float32]
Say = Callable[[str], None]

STRONG = 14.5
MOST_LOST = {"strong": 0.05, "weak": 0.1}
"""PSNR in dB that int8 may cost where the noise is at least `STRONG` (0-255), and where it is weaker."""

ALLOWED, AIMED_AT = 0.85, 1 / 3
"""Shares of what may be lost that are allowed on these few photographs, and enough: others lose more, smooth ones,
of which more is right, three times as much."""

LEAST_COST = 0.02
"""Share of what rounding the results costs in all convolutions from which on one is worth float32."""

COSTLY = 0.01
"""Mean square change of the result on the 0-255 scale from which on a kernel is worth its place in the graph."""

MOST_FLOAT = 0.5
"""Of the convolutions, the share that may stay float32; with more there is nothing to gain."""

PLACES = 128
"""Of each channel in each example that calibration keeps."""

LEAST_ERROR = 1e-5
"""Mean square error below which a result counts as perfect."""

EXTRA = "int8"
"""Key of the bundle's config that holds what int8 costs."""


@dataclass(frozen=True)
class Loss:
    """What int8 costs at one noise level.

    Attributes:
        level: standard deviation of the noise on the 0-255 scale.
        exact: PSNR in dB of float32, mean over the photographs, results clipped to [0, 1].
        lost: dB less in int8.
        most: dB that may be lost.
    """

    level: float
    exact: float
    lost: float
    most: float


@dataclass(frozen=True)
class Quantised:
    """An int8 graph and how it was measured.

    Attributes:
        graph: the ONNX model; its weights are external data in the bundle's file.
        losses: for each noise level.
        kept_float: weights of the convolutions that stay float32, the first and last besides.
        float_results: weights of those that read int8 and give float32, which ONNX Runtime computes in float32.
        bf16: whether what is float32 may be bf16, as an engine that has it prefers.
    """

    graph: bytes
    losses: tuple[Loss, ...]
    kept_float: tuple[str, ...] = ()
    float_results: tuple[str, ...] = ()
    bf16: bool = False

    @property
    def good(self) -> bool:
        """Whether no more is lost than may be, with a margin."""
        return self.within(ALLOWED)

    def within(self, share: float) -> bool:
        """Whether no more than this share of what may be lost is; not where nothing was measured."""
        return bool(self.losses) and all(loss.lost <= share * loss.most for loss in self.losses)


def quantise_bundle(folder: str | Path, *, say: Say = lambda line: None) -> Quantised:
    """Give a bundle its int8 graph, if that meets the bounds; else take away one that is there.

    The bundle is replaced as a whole, its other files as they are. Convolutions whose rounded inputs cost the most
    stay float32, as few as lose little enough in OpenVINO, in bf16 if that is had; then, since ONNX Runtime computes in
    int8 only where the result is rounded, those whose rounded results cost the most give float32. A third of what may
    be lost is little enough; where that is not to be had, all of it.

    Args:
        folder: of the bundle.
        say: told a line after each measurement.

    Returns:
        The graph and what it costs; `good` says whether the bundle has it now.

    Raises:
        BundleError: no bundle, or one without a float graph or without convolutions to compute in int8.
        OutputError: the folder cannot be written.
    """
    bundle = bundles.read(folder)
    made = make_int8(bundle, say=say)
    store(bundle, made if made.good else None)
    return made


def make_int8(bundle: Bundle, *, say: Say = lambda line: None) -> Quantised:
    """The int8 graph of a bundle, which is left as it is; see `quantise_bundle`."""
    work, trial = _Work(bundle), _Trial(bundle, say)
    for share in (AIMED_AT, ALLOWED):
        made = _search(work, trial, share)
        if made.within(share):
            break
    return made


def _search(work: _Work, trial: _Trial, share: float) -> Quantised:
    """The first graph that loses no more than a share of what it may, or the last that was tried."""
    for bf16 in (True, False) if trial.has_bf16 else (False,):
        for kept_float in work.kept_choices():
            given = [] if trial.engine == "openvino" else work.unread(kept_float)  # openvino takes them all
            made = trial.measured(work.made(kept_float, given, bf16), trial.engine)
            if not made.within(share):
                continue
            for float_results in work.result_choices(kept_float):
                fused = trial.measured(work.made(kept_float, float_results, bf16), "onnxruntime")
                if fused.within(share):
                    return replace(fused, losses=_worse(fused.losses, made.losses))
    return made


def all_int8(bundle: Bundle) -> Quantised:
    """The graph with every convolution but the first and the last in int8, not measured: for benchmarks of speed."""
    return _Work(bundle).made([], [])


def _weights(layers: Sequence[Layer]) -> tuple[str, ...]:
    return tuple(layer.weight for layer in layers)


def _worse(losses: Sequence[Loss], others: Sequence[Loss]) -> tuple[Loss, ...]:
    """For each noise level the larger loss of two."""
    return tuple(max(pair, key=lambda loss: loss.lost) for pair in zip(losses, others, strict=True))


class _Trial:
    """Measures int8 graphs of a bundle.

    Attributes:
        engine: the one that computes in int8 without rounding the result, where it is installed.
        has_bf16: whether it computes in bf16 here.
    """

    def __init__(self, bundle: Bundle, say: Say) -> None:
        self._bundle, self._say = bundle, say
        self._known: dict[object, tuple[Loss, ...]] = {}
        self._examples = held_out_examples(bundle)
        if not self._examples:
            raise WorkError(
                f"int8 cannot be measured on {bundle.name}", got="a model for noise weaker than 8 bits show"
            )
        exact = open_engine(bundle, engine="onnxruntime")
        self._exact = [_restored(exact, example) for example in self._examples]
        self.engine, self.has_bf16 = "onnxruntime", False
        if importlib.util.find_spec("openvino") is not None:
            from noiseless.runtime.openvino import OpenVinoEngine

            self.engine, self.has_bf16 = "openvino", OpenVinoEngine.offers(bundle, "fast", "cpu")

    def measured(self, made: Quantised, engine: str) -> Quantised:
        """A graph with what it costs in an engine."""
        key = made.kept_float, made.float_results, made.bf16, engine
        if key not in self._known:
            self._known[key] = measure(self._bundle, made, self._examples, self._exact, engine)
            self._say(describe(replace(made, losses=self._known[key])))
        return replace(made, losses=self._known[key])


def measure(
    bundle: Bundle, made: Quantised, examples: Sequence[Example], exact: Sequence[Array], engine: str
) -> tuple[Loss, ...]:
    """What an int8 graph costs, run as it will be: by an engine, beside the weights.

    Args:
        bundle: the model.
        made: its int8 graph.
        examples: to measure on.
        exact: what float32 makes of them.
        engine: that runs it.
    """
    with tempfile.TemporaryDirectory() as folder:
        tried = store(replace(bundle, path=Path(folder) / bundle.path.name), made, source=bundle.path)
        opened = open_engine(tried, engine=engine, precision="int8")
        found = [_restored(opened, example) for example in examples]
    scores: dict[str, list[tuple[float, float, float]]] = {}
    for example, before, after in zip(examples, exact, found, strict=True):
        score = (example.level, psnr(before[0], example.clean[0]), psnr(after[0], example.clean[0]))
        scores.setdefault(example.noise, []).append(score)
    return tuple(sorted((_loss(np.mean(rows, axis=0)) for rows in scores.values()), key=lambda loss: loss.level))


def store(bundle: Bundle, made: Quantised | None, source: Path | None = None) -> Bundle:
    """Write a bundle with this int8 graph, or with none; its other files come from `source`, or from itself."""
    skipped = {bundles.CONFIG, bundles.INT8_GRAPH}
    folder = source or bundle.path
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name not in skipped}
    extra = {key: value for key, value in bundle.extra.items() if key != EXTRA}
    if made is not None:
        files[bundles.INT8_GRAPH] = made.graph
        losses = [{key: round(value, 3) for key, value in asdict(loss).items()} for loss in made.losses]
        names = {"kept_float": list(made.kept_float), "float_results": list(made.float_results)}
        extra[EXTRA] = {"losses": losses, **names, "bf16": made.bf16}
    return bundles.write(replace(bundle, extra=extra), files)


class _Work:
    """What is needed to make one graph after another from a bundle."""

    def __init__(self, bundle: Bundle) -> None:
        if not bundle.graph_path.is_file():
            raise BundleError(f"{bundle.path} has no graph to quantise", expected=bundles.GRAPH)
        learnt = {name: array.astype(np.float32) for name, array in bundle.tensors().items()}
        self._bare, self._weights = fold_normalisation(onnx.load(bundle.graph_path, load_external_data=False), learnt)
        self._whole, _ = fold_normalisation(onnx.load(bundle.graph_path), learnt)
        self.layers = find_layers(self._bare, self._weights)
        if not self.layers:
            raise BundleError(f"{bundle.name} has no convolutions to compute in int8")
        self._examples = calibration_examples(bundle)
        self._seen = _observe(self._whole, self.layers, self._examples)

    def made(self, kept_float: Sequence[Layer], float_results: Sequence[Layer], bf16: bool = False) -> Quantised:
        """The int8 graph, not measured; some layers stay float32 or give it, and what is float32 may be bf16."""
        model = self._quantised(self._bare, kept_float, float_results, self._products)
        return Quantised(model.SerializeToString(), (), _weights(kept_float), _weights(float_results), bf16)

    def kept_choices(self) -> Iterator[list[Layer]]:
        """Which layers stay float32: more and more, those first that cost most."""
        yield []
        order = sorted(self.layers, key=lambda layer: -self._float_costs[layer])
        yield from (order[:count] for count in range(1, math.ceil(MOST_FLOAT * len(order)) + 1))

    def result_choices(self, kept_float: Sequence[Layer]) -> Iterator[list[Layer]]:
        """Which of the others give float32: more and more, those first that gain most, in the end all that may."""
        yield []
        order = sorted(self.unread(kept_float), key=lambda layer: -self._gains[layer])
        worth = sum(self._gains[layer] >= LEAST_COST * sum(self._gains.values()) for layer in order)
        yield from (order[:count] for count in sorted({*range(1, worth + 1), len(order)} - {0}))

    def unread(self, kept_float: Sequence[Layer]) -> list[Layer]:
        """The layers in int8 whose results no other in int8 reads."""
        chosen = [layer for layer in self.layers if layer not in kept_float]
        read = {layer.input for layer in chosen}
        return [layer for layer in chosen if layer.output not in read]

    @functools.cached_property
    def _products(self) -> dict[str, Array]:
        """What is needed to round the kernels well whose rounding costs something."""
        costs = self._costs(float_results=True, products={})
        costly = [layer for layer in self.layers if layer.dense and costs[layer] >= COSTLY / 255**2]
        inputs = sorted({layer.input for layer in costly})
        found: dict[str, Array] = {}
        for number, (_, *pictures) in enumerate(_told(self._whole, inputs, self._examples)):
            for layer in costly:
                picture, seen = pictures[inputs.index(layer.input)], self._seen[layer.input]
                read = seen.weights[number] * products(picture[0], *self._weights[layer.weight].shape[2:])
                found[layer.weight] = found.get(layer.weight, 0) + read
        return found

    @functools.cached_property
    def _float_costs(self) -> dict[Layer, float]:
        """What each layer costs where its result is not rounded."""
        return self._costs(float_results=True, products=self._products)

    @functools.cached_property
    def _gains(self) -> dict[Layer, float]:
        """How much less each costs where its result is not rounded."""
        costs = self._costs(float_results=False, products=self._products)
        return {layer: cost - self._float_costs[layer] for layer, cost in costs.items()}

    def _costs(self, *, float_results: bool, products: Mapping[str, Array]) -> dict[Layer, float]:
        """How much the rounding of each layer alone changes the result, squared."""
        examples = self._examples[::6]
        exact = _run(self._whole, examples)
        costs = {}
        for layer in self.layers:
            others = [other for other in self.layers if other != layer]
            given = [layer] if float_results else []
            found = _run(self._quantised(self._whole, others, given, products), examples)
            costs[layer] = float(np.mean([np.square(a - b).mean() for a, b in zip(exact, found, strict=True)]))
        return costs

    def _quantised(
        self,
        model: onnx.ModelProto,
        kept_float: Sequence[Layer],
        float_results: Sequence[Layer],
        products: Mapping[str, Array],
    ) -> onnx.ModelProto:
        return quantise(model, self.layers, self._seen, self._weights, kept_float, float_results, products)


def _observe(model: onnx.ModelProto, layers: Iterable[Layer], examples: Sequence[Example]) -> dict[str, Seen]:
    """What each layer's input and output hold. An error matters the more, the less is wrong in the result."""
    names = sorted({name for layer in layers for name in (layer.input, layer.output)})
    rows: dict[str, list[Array]] = {name: [] for name in names}
    largest: dict[str, list[Array]] = {name: [] for name in names}
    weights = []
    for example, (restored, *found) in zip(examples, _told(model, names, examples), strict=True):
        weights.append(1 / (float(np.square(restored.clip(0, 1) - example.clean).mean()) + LEAST_ERROR))
        for name, values in zip(names, found, strict=True):
            flat = values[0].reshape(values.shape[1], -1)
            largest[name].append(np.abs(flat).max(axis=1))
            rows[name].append(flat[:, :: max(1, flat.shape[1] // PLACES)][:, :PLACES].copy())
    shares = np.array(weights, np.float32) / sum(weights)
    return {name: Seen(np.max(largest[name], axis=0), np.stack(rows[name]), shares) for name in names}


def _told(model: onnx.ModelProto, names: Sequence[str], examples: Iterable[Example]) -> Iterator[list[Array]]:
    """The result and these tensors, for each example."""
    told = onnx.ModelProto()
    told.CopyFrom(model)
    result = told.graph.output[0].name
    told.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = open_session(told.SerializeToString())
    yield from (session.run([result, *names], _feeds(example)) for example in examples)


def _run(model: onnx.ModelProto, examples: Iterable[Example]) -> list[Array]:
    session = open_session(model.SerializeToString())
    return [session.run(None, _feeds(example))[0] for example in examples]


def _feeds(example: Example) -> Mapping[str, Array]:
    given = {"image": example.noisy}
    return given if example.sigma is None else {**given, "sigma": example.sigma}


def _restored(engine: Engine, example: Example) -> Array:
    restored: Array = engine.run(example.noisy, example.sigma).clip(0, 1)
    return restored


def _loss(means: npt.NDArray[np.float64]) -> Loss:
    level, exact, found = (float(value) for value in means)
    return Loss(level, exact, exact - found, MOST_LOST["strong" if level >= STRONG else "weak"])


def describe(made: Quantised) -> str:
    """What an int8 graph costs, in a line."""
    costs = ", ".join(f"{loss.lost:.3f} dB at {loss.level:.0f} (at most {loss.most:g})" for loss in made.losses)
    given = f"; {len(made.float_results)} convolutions give float32" if made.float_results else ""
    kept = f"; {len(made.kept_float)} more in float32" if made.kept_float else ""
    return f"int8 loses {costs}{given}{kept}"
