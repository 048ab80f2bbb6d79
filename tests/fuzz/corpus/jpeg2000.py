"""Writes the seeds of the fuzz target `jpeg2000`: a gradient as a bare codestream, in a JP2 file, in tiles, and cut."""

import io
import pathlib

from PIL import Image

FOLDER = pathlib.Path(__file__).with_name("jpeg2000")
FOLDER.mkdir(exist_ok=True)
grey = Image.new("L", (16, 16))
grey.putdata([(x * 13 + y * 5) % 256 for y in range(16) for x in range(16)])
wide = Image.new("I;16", (16, 16))
wide.putdata([(x * 13 + y * 5) * 100 for y in range(16) for x in range(16)])


def stream(picture, **options):
    out = io.BytesIO()
    picture.save(out, "JPEG2000", **options)
    return out.getvalue()


whole = stream(grey, no_jp2=True)
size_marker = whole.index(b"\xff\x51") + 2
for name, content in {
    "codestream": whole,
    "lossy": stream(grey, no_jp2=True, irreversible=True),
    "16-bits": stream(wide, no_jp2=True),
    "tiles": stream(grey, no_jp2=True, tile_size=(8, 8)),
    "jp2": stream(grey),
    "cut-after-its-size-marker": whole[:size_marker],
}.items():
    (FOLDER / name).write_bytes(content)
