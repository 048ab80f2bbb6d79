"""The text metrics of pycocoevalcap on two tables of texts, timed.

Prints a line of JSON when it is ready; answers {"generated": PATH, "references": PATH} with its figures and seconds.
Needs `pip install pycocoevalcap` and a Java runtime for its tokenizer.
"""

import csv
import json
import sys
import time

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer


def texts(path):
    with open(path, newline="", encoding="utf-8") as table:
        return {row["id"]: row["text"] for row in csv.DictReader(table)}


def score(generated, references):
    began = time.perf_counter()
    # pycocoevalcap prints while it works; stdout is for the answer.
    stdout, sys.stdout = sys.stdout, sys.stderr
    tokenizer = PTBTokenizer()
    wrap = lambda side: {key: [{"caption": text}] for key, text in side.items()}
    hypotheses, targets = tokenizer.tokenize(wrap(generated)), tokenizer.tokenize(wrap(references))
    bleu, _ = Bleu(4).compute_score(targets, hypotheses, verbose=0)
    rouge, _ = Rouge().compute_score(targets, hypotheses)
    cider, _ = Cider().compute_score(targets, hypotheses)
    sys.stdout = stdout
    figures = {"bleu": [float(value) for value in bleu], "rouge_l": float(rouge), "cider_d": float(cider)}
    return {"seconds": time.perf_counter() - began, **figures}


print(json.dumps({"peer": "pycocoevalcap"}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps(score(texts(request["generated"]), texts(request["references"]))), flush=True)
