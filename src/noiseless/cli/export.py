"""noiseless export: a model becomes files for other software."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from noiseless.cli.options import Model
from noiseless.training.beforehand import check_model


def export(
    model: Model,
    output: Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="Where the files go.")],
    format: Annotated[
        Literal["onnx", "openvino"], typer.Option(metavar="onnx|openvino", help="One file, or two for OpenVINO.")
    ] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="In 8 bit: smaller and faster, for a few hundredths of a dB.")
    ] = False,
) -> None:
    """Write a model as files for other software, checked against PyTorch.

    They take images of any size, (batch, channels, height, width), float32 from 0 to 1, and the noise's standard
    deviation in the same units where the model is told it; everything else is inside. A file that would not compute
    what PyTorch computes is not written.
    """
    check_model(model)
    from noiseless.exporting.export import export as write

    for path in write(model, output, format=format, int8=int8):
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
