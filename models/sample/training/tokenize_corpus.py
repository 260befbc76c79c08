"""Trains the byte-level BPE and writes token files.

usage: tokenize_corpus.py NODE_MODULES/@stdlib DIR  ->  DIR/tokenizer.json, train.bin, held.bin (uint16), held.txt
"""
import random
import sys

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from corpus import load

root, out = sys.argv[1:3]
train, held = load(root)
t = Tokenizer(models.BPE())
t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
t.decoder = decoders.ByteLevel()
t.train_from_iterator((text for _, text in train), trainers.BpeTrainer(
    vocab_size=4096, special_tokens=['<|endoftext|>'], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
t.save(out + '/tokenizer.json')
random.seed(0)
random.shuffle(train)


def ids(docs):
    o = []
    for _, text in docs:
        o.append(0)  # <|endoftext|> in front of every document
        o += t.encode(text).ids
    return np.array(o, np.uint16)


ids(train).tofile(out + '/train.bin')
ids(held).tofile(out + '/held.bin')
open(out + '/held.txt', 'w', encoding='utf8').write('\n\n'.join(text for _, text in held))
