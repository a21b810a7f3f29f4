"""Make built layers start faster: `python layers/slim.py FOLDER …` after `sam build`, before `sam deploy`.

Functions read their layers anew at each cold start, and the folder is read-only there: what nobody imports is only weight, and a
module without bytecode is compiled every time. Of boto's models only the services that mailtide speaks to stay. Each
FOLDER is a layer: it holds `python`.
"""

import importlib.util
import py_compile
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

SERVICES = frozenset({"dynamodb", "events", "kms", "lambda", "s3", "secretsmanager", "sqs", "ssm", "sts", "xray"})
COMMAND_LINE_ONLY = ("rich", "pygments", "markdown_it", "mdurl", "click", "bin")


def slim(layer: Path) -> None:
    """Slim one layer and compile what is left. Safe to repeat."""
    packages = layer / "python"
    data = packages / "botocore" / "data"
    for model in data.iterdir() if data.exists() else ():
        if model.is_dir() and model.name not in SERVICES:
            shutil.rmtree(model)
    shutil.rmtree(packages / "boto3" / "examples", ignore_errors=True)
    for name in COMMAND_LINE_ONLY:
        shutil.rmtree(packages / name, ignore_errors=True)
    sources = [str(path) for path in packages.rglob("*.py") if not Path(_bytecode(str(path))).exists()]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_compile, sources, chunksize=50))


def _bytecode(source: str) -> str:
    return importlib.util.cache_from_source(source)


def _compile(source: str) -> None:
    """Checked against nothing: packing changes the times of the sources. What does not compile here is left as it is."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(source, _bytecode(source), doraise=False, quiet=2, invalidation_mode=mode)


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        slim(Path(folder))
