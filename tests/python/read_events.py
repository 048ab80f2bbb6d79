"""Read a folder of event files with TensorBoard's own reader and print what it found as JSON.

Usage: python3 read_events.py FOLDER     (needs: pip install tensorboard)

Prints one object: {"scalars": {tag: [[step, value], ...]}, "texts": {tag: [[step, text], ...]},
"images": {tag: [[step, width, height], ...]}}. A value that is not finite is printed as the
string "nan", "inf" or "-inf", because JSON has no numbers for them.
"""

import json
import math
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def number(value):
    return value if math.isfinite(value) else str(value)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    # 0 keeps every event; the default would keep a sample.
    keep_all = {"scalars": 0, "tensors": 0, "images": 0}
    events = EventAccumulator(sys.argv[1], size_guidance=keep_all)
    events.Reload()
    tags = events.Tags()
    found = {
        "scalars": {
            tag: [[event.step, number(event.value)] for event in events.Scalars(tag)]
            for tag in tags["scalars"]
        },
        "texts": {
            tag: [
                [event.step, event.tensor_proto.string_val[0].decode("utf-8")]
                for event in events.Tensors(tag)
            ]
            for tag in tags["tensors"]
        },
        "images": {
            tag: [[event.step, event.width, event.height] for event in events.Images(tag)]
            for tag in tags["images"]
        },
    }
    print(json.dumps(found, indent=2, sort_keys=True))


if __name__ == "__main__":
    main()
