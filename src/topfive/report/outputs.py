"""What writes the report as which kind of file."""

from collections.abc import Callable, Mapping
from pathlib import Path

from topfive.report import files, latex, markdown, page
from topfive.report.contents import Contents

WRITERS: Mapping[str, Callable[[Contents, Path], None]] = {
    "html": page.write,
    "markdown": markdown.write,
    "latex": latex.write,
    "csv": files.write_csv,
    "parquet": files.write_parquet,
}
