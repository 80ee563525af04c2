"""Index a corpus on all machines of a Ray cluster, with Ray Data, and merge the parts into one index.

    python examples/index_with_ray.py music/ -o music.parquet --folder parts/
    python examples/index_with_ray.py s3://data/music -o s3://data/music.parquet --folder s3://data/parts --parts 999

All machines need access to the files, and to the folder of the parts: on a shared file system, or by URLs. Without a
cluster, Ray uses the cores of this machine. If the script is run again, only files that have changed are read. It needs
the extras `index` and `ray`.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import ray

from flowmo_data import AudioIndex, FilesError


def main() -> None:
    """Index the parts, each in one task of Ray, and merge them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", help="a folder, a glob or a manifest; a path or a URL")
    parser.add_argument("-o", "--output", required=True, help="the index: NAME.parquet, or its URL")
    parser.add_argument("--folder", required=True, help="folder for the parts, or its URL; keep it for the next update")
    parser.add_argument("--parts", type=int, default=16, help="a few for each core of the cluster")
    arguments = parser.parse_args()
    files, folder = (each if "://" in each else os.path.abspath(each) for each in (arguments.files, arguments.folder))
    count = arguments.parts

    def index_part(row: dict[str, Any]) -> dict[str, Any]:
        number = int(row["id"]) + 1  # parts count from 1
        path = f"{folder}/part-{number}-of-{count}.parquet"
        if "://" not in folder:
            os.makedirs(folder, exist_ok=True)
        try:
            previous = AudioIndex.load(path)
        except FilesError:  # there is none yet
            previous = None
        index = AudioIndex.build(files, part=(number, count), previous=previous)
        index.save(path)
        return {"path": path, "files": len(index), "bad_files": len(index.bad_files())}

    parts = ray.data.range(count, override_num_blocks=count).map(index_part).take_all()
    AudioIndex.merge([part["path"] for part in parts]).save(arguments.output)
    num_files, num_bad = (sum(part[key] for part in parts) for key in ("files", "bad_files"))
    print(f"{arguments.output}: {num_files} files in {count} parts, {num_bad} of them bad")


if __name__ == "__main__":
    main()
