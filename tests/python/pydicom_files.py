"""The DICOM files that pydicom and pydicom-data ship, and what pydicom makes of them.

`list` prints a JSON list of their paths. `compare PAIRS` takes a JSON list of pairs, a file and the program's grey values (as
in render_dicom.py) or null, and prints for each file what it is, and `worst`, the largest difference in levels of 255, or
`undecodable` with pydicom's reason.
"""

import importlib.util
import json
import logging
import os
import sys
import warnings

import numpy as np
import pydicom
import render_dicom

NOT_DICOM = (".py", ".pyc", ".txt", ".json", ".md", ".h5", ".csv", ".toml", ".yml")


def roots():
    yield "pydicom", os.path.join(os.path.dirname(pydicom.__file__), "data")
    found = importlib.util.find_spec("data_store")
    if found is not None:
        yield "pydicom-data", os.path.join(os.path.dirname(found.origin), "data")


def is_dicom(path):
    """Whether pydicom reads it, with force where a file has no file meta information."""
    try:
        pydicom.dcmread(path)
        return True
    except Exception:
        pass
    try:
        ds = pydicom.dcmread(path, force=True)
        return "SOPClassUID" in ds or "PixelData" in ds
    except Exception:
        return False


def files():
    for name, root in roots():
        for folder, _, names in sorted(os.walk(root)):
            for file in sorted(names):
                path = os.path.join(folder, file)
                if not file.endswith(NOT_DICOM) and is_dicom(path):
                    yield [name + "/" + os.path.relpath(path, root), path]


def described(ds):
    words = [str(ds.get("Modality") or "")]
    if "PixelData" in ds or "FloatPixelData" in ds or "DoubleFloatPixelData" in ds:
        words += [f"{ds.get('Rows')} × {ds.get('Columns')}", str(ds.get("PhotometricInterpretation")), f"{ds.get('BitsStored')} bits"]
    else:
        words.append("no pixels")
    syntax = ds.file_meta.get("TransferSyntaxUID") if hasattr(ds, "file_meta") else None
    words.append(syntax.name if syntax is not None else "no transfer syntax")
    return ", ".join(word for word in words if word)


def luma(ds):
    """The first frame of a colour file in grey, 0 to 1, by Rec. 601."""
    colour = ds.pixel_array
    colour = colour[0] if colour.ndim == 4 else colour
    return colour.astype(np.float64) @ [0.299, 0.587, 0.114] / (2**ds.BitsStored - 1)


def compare(path, ours_path):
    ds = pydicom.dcmread(path, force=True)
    report = {"what": described(ds)}
    try:
        expected = luma(ds) if ds.get("SamplesPerPixel", 1) == 3 else render_dicom.rendered(ds)
    except Exception as error:  # whatever a decoder says
        return report | {"undecodable": str(error).splitlines()[0]}
    if ours_path is None:
        return report
    ours = np.fromfile(ours_path, dtype="<u2")
    if ours.size != expected.size:
        return report | {"worst": 255.0}
    return report | {"worst": float(np.abs(ours.reshape(expected.shape) / 65535 - expected).max() * 255)}


def main(words):
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    if words[0] == "list":
        json.dump(list(files()), sys.stdout)
    else:
        with open(words[1], encoding="utf-8") as pairs:
            json.dump([compare(*pair) for pair in json.load(pairs)], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
