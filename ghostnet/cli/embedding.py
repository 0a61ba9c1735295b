"""The commands about embeddings: `embed`, `similar` and `duplicates`."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ghostnet.cli.models import configure, open_model
from ghostnet.cli.name_list import NameList
from ghostnet.cli.options import (
    AddressOption,
    ByContentOption,
    CacheOption,
    JsonOption,
    ListOption,
    ModelOption,
    NullOption,
    RayOption,
    ResumeOption,
    ShortHashOption,
    UpdateOption,
    VerboseOption,
)
from ghostnet.cli.output import print_json, print_table, say
from ghostnet.cli.row_file import OUT_BATCH, RowFile, check_cluster, source, write_rows
from ghostnet.inference.vectors import Layer
from ghostnet.models.registry import DEFAULT_MODEL

if TYPE_CHECKING:
    from ghostnet.inference.row_writer import Labeler

EmbeddingsArgument = Annotated[
    Path, typer.Argument(help="File that `ghostnet embed` wrote: .npy or .parquet.")
]


def embed(
    paths: Annotated[
        list[str] | None, typer.Argument(help="Images or their URLs, folders and archives.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File for the embeddings: .npy or .parquet, written row by row."),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    list_file: ListOption = None,
    null: NullOption = False,
    layer: Annotated[
        Layer,
        typer.Option(
            help="What the classifier reads (head; 1,280 numbers in ghostnet_1x), or the means of "
            "the last map (pooled; 960)."
        ),
    ] = Layer.HEAD,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="Scale each embedding to length 1.")
    ] = False,
    resume: ResumeOption = False,
    update: UpdateOption = None,
    by_content: ByContentOption = False,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images per call of the network.")
    ] = OUT_BATCH,
    ray: RayOption = False,
    address: AddressOption = None,
    cache_dir: CacheOption = None,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Embed images: write a vector of numbers for each, close where images are similar."""
    if not paths and list_file is None:
        raise typer.BadParameter("give images, folders or archives, or a list of them with --list")
    file = RowFile.of(out, update, resume=resume, by_content=by_content)
    if file is None:
        raise typer.BadParameter("name a file for the embeddings with --out or --update")
    check_cluster(paths or [], address, ray=ray)
    configure(verbose=verbose)
    opened = open_model(model, cache_dir, allow_short_hash=short_hash)
    from ghostnet.embeddings.array_file import ArrayFile
    from ghostnet.embeddings.embedder import embed_with, vectors_of
    from ghostnet.inference.provenance import Provenance
    from ghostnet.inference.results import Parquet

    opening: AbstractContextManager[Labeler]
    vectors = vectors_of(opened, layer, normalized=normalize)
    if ray:
        from ghostnet.embeddings.ray_embedder import RayEmbedder
        from ghostnet.inference.ray_cluster import connect

        settings = {"model": opened, "batch_size": batch_size}
        settings |= {"layer": layer, "normalize": normalize}
        opening = connect(RayEmbedder, settings, address=address, verbose=verbose)
    else:
        opening = nullcontext(embed_with(opened, vectors, batch_size=batch_size))
    write_rows(
        opening,
        Provenance.of(opened, 0, vectors),
        NameList(paths or [], list_file, null=null),
        file,
        formats={".npy": ArrayFile, ".parquet": Parquet},
        as_json=as_json,
    )


def similar(
    image: Annotated[str, typer.Argument(help="Image to compare with; - for one on stdin.")],
    embeddings: EmbeddingsArgument,
    count: Annotated[int, typer.Option(min=1, help="Images to print.")] = 10,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Where the model of EMBEDDINGS is now, if it moved."),
    ] = None,
    cache_dir: CacheOption = None,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Find the images that are most similar to one; 1 is the highest similarity."""
    from ghostnet.embeddings.collection import read_embeddings
    from ghostnet.embeddings.embedder import embed_like
    from ghostnet.embeddings.search import similar as search

    read = read_embeddings(embeddings)
    assert read.provenance is not None
    configure(verbose=verbose)
    opened = open_model(model or read.provenance.model, cache_dir, allow_short_hash=short_hash)
    query = embed_like(opened, source(image), read.provenance)
    matches = search(query, read, count)
    if as_json:
        print_json([{"file": match.name, "similarity": match.similarity} for match in matches])
    else:
        rows = [(match.name, f"{match.similarity:.3f}") for match in matches]
        print_table(image, ("file", "similarity"), rows)


def duplicates(
    embeddings: EmbeddingsArgument,
    at_least: Annotated[
        float, typer.Option(min=0, max=1, help="Least similarity within a group.")
    ] = 0.95,
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate", help="Use an index of FAISS: faster beyond 100,000 images, misses few."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Group the images that are nearly the same."""
    from ghostnet.embeddings.approximate import likely_pairs
    from ghostnet.embeddings.collection import read_embeddings
    from ghostnet.embeddings.search import duplicates as search
    from ghostnet.embeddings.search import exact_pairs

    pairs = likely_pairs if approximate else exact_pairs
    groups = search(read_embeddings(embeddings), at_least, pairs)
    if as_json:
        print_json(groups)
    elif groups:
        rows = [(f"{number}", "\n".join(names)) for number, names in enumerate(groups, 1)]
        print_table(str(embeddings), ("group", "files"), rows)
    else:
        say(f"no two images in {embeddings} are that similar")
