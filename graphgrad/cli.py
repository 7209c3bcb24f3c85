"""The command line: explore, draw, derive and train a network from its text form."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from graphgrad.graph import Node
    from graphgrad.public import Graph

DATA = """\
data files:
  A table (.csv) names its columns in the first row; every other row is a sample. The columns go to the inputs
  by name: a scalar input t is the column t, a vector x of two elements the columns x1,x2 or x_1,x_2, a matrix
  X the columns X_1_1,X_1_2,... row by row. Other columns are left aside.
  An archive (.npz) holds arrays by identifier, with the samples as their leading axis; it may hold parameters.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 with one sentence on standard error."""
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _say_warning
        try:
            options.command(options)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader of the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt:
            return 130
        except (ValueError, OSError, MemoryError) as error:
            _say(_sentence(error))
            return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="graphgrad", description="See the maths of a network, read its code, run it fast.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and leave")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    app = commands.add_parser("app", help="explore networks in the browser")
    app.add_argument(
        "--port", type=_whole(1, 65535), help="the port on 127.0.0.1; 8501 or the next free one if left out"
    )
    app.set_defaults(command=_app)

    draw = _on_file(commands, "draw", "draw a network, with its values and gradients where there is data")
    draw.add_argument("-o", "--output", required=True, metavar="OUT", help="the picture: .svg, .png, .pdf or .dot")
    draw.add_argument("--data", metavar="DATA", help="a table or an archive with the inputs")
    draw.add_argument("--sample", type=_whole(1), default=1, metavar="K", help="the sample that is drawn, from 1")
    draw.add_argument("--of", metavar="NODE", help="what the gradients are of; the last scalar if left out")
    draw.add_argument("--theme", default="light", choices=["light", "dark", "auto"])
    draw.set_defaults(command=_draw)

    derive = _on_file(
        commands, "derive", "print a network's lines, a gradient's lines and its chain of factors in all its forms"
    )
    derive.add_argument("--wrt", required=True, metavar="NODE", help="what the gradient is with respect to, such as W0")
    derive.add_argument("--of", metavar="NODE", help="what the gradient is of; the last scalar if left out")
    derive.add_argument("--latex", action="store_true", help="print LaTeX")
    derive.add_argument(
        "-o", "--output", metavar="OUT", help="write a worksheet with numbers instead: .html, .tex, .md or .ipynb"
    )
    derive.add_argument("--data", metavar="DATA", help="a table or an archive with the inputs, for the worksheet")
    derive.add_argument("--sample", type=_whole(1), default=1, help="which sample of the data the worksheet shows (1)")
    derive.add_argument("--rate", type=float, default=0.1, help="η in the worksheet's step W := W - η ∂l/∂W (0.1)")
    derive.set_defaults(command=_derive)

    train = _on_file(commands, "train", "train a network's parameters by gradient descent")
    train.add_argument("--data", required=True, metavar="DATA", help="a table or an archive with the inputs")
    train.add_argument("--objective", metavar="NODE", help="what is made small; the last scalar if left out")
    train.add_argument("--epochs", type=_whole(0), default=100, help="how often all samples are used (100)")
    train.add_argument("--rate", type=float, default=0.1, help="η in W := W - η ∂J/∂W (0.1)")
    train.add_argument("--batch-size", type=_whole(1), metavar="N", help="samples in a step; all if left out")
    train.add_argument("--seed", type=_whole(0), default=0, help="for the first weights and the order of samples (0)")
    train.add_argument(
        "-o", "--output", metavar="OUT", help="where to save the network with its weights, such as net.gg"
    )
    train.set_defaults(command=_train)

    bench = _on_file(commands, "bench", "time a training step of a network, on samples drawn at random")
    bench.add_argument("--objective", metavar="NODE", help="what is made small; the last scalar if left out")
    bench.add_argument(
        "--samples", type=_whole(1), nargs="+", default=[1, 32, 1024], metavar="N", help="of a step (1 32 1024)"
    )
    bench.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    bench.add_argument("--threads", type=_whole(1), metavar="N", help="that share a step; all if left out")
    bench.set_defaults(command=_bench)

    cache = commands.add_parser("cache", help="look at the kernel cache, or clear it")
    cache.add_argument("action", choices=["info", "clear"])
    cache.set_defaults(command=_cache)
    return parser


def _on_file(commands: Any, name: str, summary: str) -> argparse.ArgumentParser:
    """The parser of a command that reads a network."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary.capitalize()}.",
        epilog=DATA,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="a network in the text form")
    return parser


def _whole(least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    """Reads a whole number in this range."""

    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no whole number from {least} to {most}")

    return read


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        _say(f"{message} ({self.prog} --help tells more)")
        sys.exit(2)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from graphgrad import __version__

        print(__version__)
        parser.exit()


def _say(sentence: str) -> None:
    print(f"graphgrad: {sentence}", file=sys.stderr)


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    _say(str(message))


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or "there is not enough memory for this"


def _graph(options: argparse.Namespace) -> tuple[Graph, dict[str, Any]]:
    """The network of the file, and its weights where it was saved with some."""
    from graphgrad.graph.save import weights_path
    from graphgrad.public import load, load_params

    graph = load(options.file)
    return graph, load_params(options.file, graph) if Path(weights_path(options.file)).exists() else {}


def _scalar(graph: Graph, asked: str | None) -> Node:
    """The node that was asked for, or the last scalar among the graph's outputs."""
    from graphgrad.graph import GraphError

    if asked is not None:
        return graph[asked]
    for node in reversed(graph.outputs):
        if not node.shape:
            return node
    raise GraphError(f"{graph.title or 'this network'} has no scalar output: name a node to differentiate with --of")


def _app(options: argparse.Namespace) -> None:
    import runpy
    from importlib.util import find_spec

    from graphgrad.app.settings import flags
    from graphgrad.graph import GraphError

    if find_spec("streamlit") is None:
        raise GraphError("the pages need Streamlit: pip install 'graphgrad[app]'")
    page = Path(__file__).parent / "app" / "start.py"
    port = [] if options.port is None else [f"--server.port={options.port}"]
    sys.argv = ["streamlit", "run", str(page), *flags(), *port]
    runpy.run_module("streamlit", run_name="__main__")


def _draw(options: argparse.Namespace) -> None:
    from graphgrad.graph import GraphError

    target = Path(options.output)
    if target.suffix not in (".svg", ".png", ".pdf", ".dot"):
        raise GraphError(f"{options.output} is not a picture's name: it ends in .svg, .png, .pdf or .dot")
    graph, weights = _graph(options)
    picture = graph.draw(theme=options.theme, **(_computed(graph, weights, options) if options.data else {}))
    if target.suffix in (".png", ".pdf"):
        getattr(picture, target.suffix[1:])(target)
    else:
        target.write_text(picture.svg() if target.suffix == ".svg" else picture.dot(), "utf-8")


def _computed(graph: Graph, weights: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """The values and gradients of one sample of the data."""
    from graphgrad.graph import DataError
    from graphgrad.interop import tables
    from graphgrad.runtime.function import compile
    from graphgrad.training.initial import initial

    arrays = {**weights, **tables.read(options.data, graph)}
    if missing := [node.op.name for node in graph.parameters if node.op.name not in arrays]:
        _say(f"no weights for {', '.join(missing)}: they are drawn at random, from the seed 0")
        arrays = {**initial(graph), **arrays}
    result = compile(graph, _scalar(graph, options.of), wrt=[*graph.parameters, *graph.steps], target="numpy")(**arrays)
    if not 1 <= options.sample <= result.samples:
        raise DataError(f"the sample {options.sample} does not exist: {options.data} has {result.samples}")
    return {"values": result, "sample": options.sample - 1}


def _derive(options: argparse.Namespace) -> None:
    from graphgrad.calculus.chain import chain
    from graphgrad.calculus.gradient import grad
    from graphgrad.graph import ancestors

    graph, weights = _graph(options)
    of, wrt = _scalar(graph, options.of), graph[options.wrt]
    if options.output:
        _worksheet(graph, weights, of, wrt, options)
        return
    factors = chain(of, wrt)
    lines = [node for node in ancestors(grad(of, wrt)) if graph.gradient_of(node)]
    if options.latex:
        print(*(node.latex() for node in (*graph.steps, *lines)), *map(factors.latex, factors.rows), sep="\n")
    else:
        print(graph, "", *(node.text() for node in lines), "", *map(factors.text, factors.rows), sep="\n")


def _worksheet(graph: Graph, weights: dict[str, Any], of: Node, wrt: Node, options: argparse.Namespace) -> None:
    from graphgrad.interop import tables
    from graphgrad.interop.worksheets import worksheet

    data = tables.read(options.data, graph) if options.data else {}
    source = f"The numbers are those of {Path(options.data).name}." if options.data else ""
    sheet = worksheet(graph, {**weights, **data}, of, [wrt], options.sample - 1, options.rate, source)
    print(*sheet.save(options.output), sep="\n")


def _train(options: argparse.Namespace) -> None:
    from graphgrad.graph.save import save, weights_path
    from graphgrad.interop import tables
    from graphgrad.training.fit import fit
    from graphgrad.training.optimizers import SGD

    graph, weights = _graph(options)
    arrays = tables.read(options.data, graph)
    inputs = {node.op.name for node in graph.inputs}
    history = fit(
        graph,
        _scalar(graph, options.objective),
        {name: array for name, array in arrays.items() if name in inputs},
        params={**weights, **{name: array for name, array in arrays.items() if name not in inputs}},
        optimizer=SGD(options.rate),
        epochs=options.epochs,
        batch_size=options.batch_size,
        seed=options.seed,
    )
    print(repr(history).strip("<>"))
    if options.output:
        save(graph, options.output, history.params)
        print(f"saved: {options.output} and {weights_path(options.output)}")


def _bench(options: argparse.Namespace) -> None:
    from graphgrad.runtime.team import set_num_threads
    from graphgrad.training.timing import timed

    graph, weights = _graph(options)
    if options.threads:
        set_num_threads(options.threads)
    found = timed(graph, _scalar(graph, options.objective), options.samples, options.dtype, weights)
    print("samples    first step          step    samples in a second")
    for one in found:
        rate = one.samples / one.step
        print(f"{one.samples:7}  {one.first * 1e3:9.1f} ms  {one.step * 1e6:9.2f} µs  {rate:21,.0f}")


def _cache(options: argparse.Namespace) -> None:
    from graphgrad.compiler import cache

    if options.action == "clear":
        print(f"{cache.clear()} programs removed from {cache.folder()}")
    else:
        print(f"{len(cache.entries())} programs, {cache.size():,} of {cache.MOST_BYTES:,} bytes in {cache.folder()}")
