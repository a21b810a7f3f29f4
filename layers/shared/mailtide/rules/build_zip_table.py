"""Makes the packaged ZIP table from the `zipcodes` package: `python -m mailtide.rules.build_zip_table`.

The table is JSON: `ranges` maps every ZIP from a start to the next start to one place ("" where no known ZIP lies), and
`known` lists the ZIPs that exist as a base64 bitmap, bit n % 8 of byte n // 8 for ZIP n.
"""

import base64
import json
import sys
import zlib
from importlib import import_module
from pathlib import Path

TABLE_PATH = Path(__file__).parent / "data" / "zip_states.json"
ZIP_COUNT = 100_000


def table_text() -> str:
    """The table as text. Needs the development dependency `zipcodes`."""
    rows = import_module("zipcodes").list_all()
    places = {int(row["zip_code"]): str(row["state"]) for row in rows}
    starts: list[list[int | str]] = []
    bitmap = bytearray(ZIP_COUNT // 8)
    last = ""
    for number, place in sorted(places.items()):
        bitmap[number // 8] |= 1 << number % 8
        if place != last:
            starts.append([number, place])
            last = place
    packed = base64.b64encode(zlib.compress(bytes(bitmap), 9)).decode("ascii")
    ranges = ",\n".join(json.dumps(start) for start in starts)
    return f'{{"ranges": [\n{ranges}\n],\n"known": "{packed}"}}\n'


if __name__ == "__main__":
    TABLE_PATH.write_text(table_text(), encoding="ascii")
    sys.stdout.write(f"{TABLE_PATH}\n")
