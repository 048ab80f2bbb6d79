"""What pydicom makes of DICOM files, held against what the program rendered.

Called with pairs of a DICOM file and the program's grey values (H x W, u16 little-endian, 0 to 65535). Prints one JSON
object: for each DICOM file its transfer syntax and `worst`, the largest difference in levels of 255, or `undecodable`
with pydicom's reason.

pydicom decodes and applies the modality LUT and the VOI LUT or window (PS3.3, C.11). What it leaves to viewers is written
out here: bits that do not lie at the bottom, the percentile window of files that have none, pixel padding, and the one inversion that MONOCHROME1 or a
Presentation LUT Shape of INVERSE asks for.
"""

import copy
import json
import sys
import warnings

import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut, apply_voi_lut

PER_MILLE = 5


def window_range(ds):
    """The grey range that pydicom's windowing stretches to."""
    if "ModalityLUTSequence" in ds:
        return 0.0, 2.0 ** ds.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    bits = ds.BitsStored
    low, high = (0, 2**bits - 1) if ds.PixelRepresentation == 0 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if "RescaleSlope" in ds and "RescaleIntercept" in ds:
        slope, intercept = float(ds.RescaleSlope), float(ds.RescaleIntercept)
        low, high = low * slope + intercept, high * slope + intercept
    return float(low), float(high)


def first(value):
    return value[0] if isinstance(value, pydicom.multival.MultiValue) else value


def padding(ds, stored):
    if ds.get("PixelPaddingValue") is None:
        return np.zeros(stored.shape, bool)
    ends = sorted([int(ds.PixelPaddingValue), int(ds.get("PixelPaddingRangeLimit", ds.PixelPaddingValue))])
    return (stored >= ends[0]) & (stored <= ends[1])


def stored_values(ds):
    """The first frame."""
    if ds.file_meta.TransferSyntaxUID == pydicom.uid.JPEGBaseline8Bit:
        # Decoders differ in how they round the transform. Pillow's is the Independent JPEG Group's, as most viewers' is.
        ds.pixel_array_options(decoding_plugin="pillow")
    if ds.HighBit == ds.BitsStored - 1:
        stored = ds.pixel_array
    else:  # pydicom takes the low bits, wherever High Bit says that they lie
        whole = copy.deepcopy(ds)
        whole.BitsStored, whole.HighBit = ds.BitsAllocated, ds.BitsAllocated - 1
        stored = (whole.pixel_array >> (ds.HighBit + 1 - ds.BitsStored)) & (2**ds.BitsStored - 1)
    return stored[0] if stored.ndim == 3 else stored


def rendered(ds):
    """Grey values, 0 to 1, in double precision."""
    stored = stored_values(ds)
    padded = padding(ds, stored)
    values = np.asarray(apply_modality_lut(stored, ds), dtype=np.float64)
    if "VOILUTSequence" in ds:
        table = ds.VOILUTSequence[0]
        grey = np.asarray(apply_voi_lut(values.astype(np.int64), ds, index=0), np.float64) / (2 ** table.LUTDescriptor[2] - 1)
    elif ds.get("WindowCenter") is not None and ds.get("WindowWidth") is not None:
        low, high = window_range(ds)
        grey = (np.asarray(apply_voi_lut(values, ds, index=0), np.float64) - low) / (high - low)
    else:
        inside = np.sort(values[~padded])
        count = len(inside)
        low = inside[max(-(-count * PER_MILLE // 1000), 1) - 1]
        high = inside[-(-count * (1000 - PER_MILLE) // 1000) - 1]
        if low >= high:
            low, high = inside[0], inside[-1]
        grey = (values - low) / (high - low) if high > low else np.zeros_like(values)
    grey = np.clip(grey, 0, 1)
    if ds.PhotometricInterpretation == "MONOCHROME1" or ds.get("PresentationLUTShape") == "INVERSE":
        grey = 1 - grey
    grey[padded] = 0
    return grey


def compare(path, ours_path):
    ds = pydicom.dcmread(path)
    report = {"transfer_syntax": ds.file_meta.TransferSyntaxUID.name}
    try:
        expected = rendered(ds)
    except Exception as error:  # whatever a decoder says
        return report | {"undecodable": str(error)}
    ours = np.fromfile(ours_path, dtype="<u2").reshape(expected.shape)
    difference = np.abs(ours / 65535 - expected) * 255
    return report | {"worst": float(difference.max()), "pixels": int(difference.size)}


def main(words):
    warnings.simplefilter("ignore")
    pairs = zip(words[::2], words[1::2])
    json.dump({path: compare(path, ours) for path, ours in pairs}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
