"""Trains the language model on the CPU.

usage: train.py DIR MINUTES LEARNING_RATE [START.pt]  ->  DIR/model.pt, from DIR/train.bin and DIR/held.bin

Llama-style decoder: RMSNorm, rotary positions (half-split), grouped-query attention, SwiGLU, tied embedding.
"""
import math
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

VOCAB, DIM, LAYERS, HEADS, KV_HEADS, FFN, WINDOW, BATCH = 4096, 256, 6, 4, 2, 768, 256, 16
HEAD = DIM // HEADS
_freq = 1 / (10000 ** (torch.arange(0, HEAD, 2) / HEAD))
_angle = torch.outer(torch.arange(1024).float(), _freq)
COS, SIN = _angle.cos(), _angle.sin()


def rotate(x):
    a, b = x.split(HEAD // 2, -1)
    c, s = COS[:x.shape[2]], SIN[:x.shape[2]]
    return torch.cat([a * c - b * s, b * c + a * s], -1)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = nn.RMSNorm(DIM, 1e-5), nn.RMSNorm(DIM, 1e-5)
        self.q, self.o = nn.Linear(DIM, DIM, bias=False), nn.Linear(DIM, DIM, bias=False)
        self.k, self.v = nn.Linear(DIM, KV_HEADS * HEAD, bias=False), nn.Linear(DIM, KV_HEADS * HEAD, bias=False)
        self.g, self.u, self.d = nn.Linear(DIM, FFN, bias=False), nn.Linear(DIM, FFN, bias=False), nn.Linear(FFN, DIM, bias=False)
        self.drop = nn.Dropout(.1)

    def forward(self, x):
        b, t, _ = x.shape
        h = self.n1(x)
        heads = lambda y, n: y.view(b, t, n, HEAD).transpose(1, 2)
        q, k, v = rotate(heads(self.q(h), HEADS)), rotate(heads(self.k(h), KV_HEADS)), heads(self.v(h), KV_HEADS)
        k, v = (z.repeat_interleave(HEADS // KV_HEADS, 1) for z in (k, v))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.drop(self.o(a.transpose(1, 2).reshape(b, t, DIM)))
        h = self.n2(x)
        return x + self.drop(self.d(F.silu(self.g(h)) * self.u(h)))


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.b, self.n = nn.Embedding(VOCAB, DIM), nn.ModuleList(Block() for _ in range(LAYERS)), nn.RMSNorm(DIM, 1e-5)
        for name, p in self.named_parameters():
            if p.dim() > 1:
                nn.init.normal_(p, 0, .02 / (math.sqrt(2 * LAYERS) if name.endswith(('o.weight', 'd.weight')) else 1))

    def forward(self, ids):
        x = self.e(ids)
        for block in self.b:
            x = block(x)
        return self.n(x) @ self.e.weight.t()


def held_out_perplexity(model, held, windows):
    """Perplexity over at most `windows` disjoint windows, every token scored."""
    model.eval()
    total = count = 0
    with torch.no_grad():
        for i in range(0, min(len(held) - WINDOW - 1, windows * WINDOW), WINDOW):
            total += F.cross_entropy(model(held[i:i + WINDOW][None])[0], held[i + 1:i + WINDOW + 1], reduction='sum').item()
            count += WINDOW
    model.train()
    return math.exp(total / count)


if __name__ == '__main__':
    folder, minutes, peak = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    torch.manual_seed(0)
    train, held = (torch.from_numpy(np.fromfile(f'{folder}/{n}.bin', np.uint16).astype(np.int64)) for n in ('train', 'held'))
    model = LanguageModel()
    if len(sys.argv) > 4:
        model.load_state_dict(torch.load(sys.argv[4]))
        torch.manual_seed(1)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    gains = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([dict(params=matrices, weight_decay=.1), dict(params=gains, weight_decay=0)], lr=peak, betas=(.9, .95))
    start, step = time.time(), 0
    while (elapsed := (time.time() - start) / 60) < minutes:
        for group in optimizer.param_groups:
            group['lr'] = peak * min(1, (step + 1) / 100) * (.03 + .97 * .5 * (1 + math.cos(math.pi * elapsed / minutes)))
        at = torch.randint(0, len(train) - WINDOW - 1, (BATCH,))
        x, y = (torch.stack([train[i + s:i + s + WINDOW] for i in at]) for s in (0, 1))
        loss = F.cross_entropy(model(x).view(-1, VOCAB), y.view(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        step += 1
        if step % 100 == 0:
            print(f'{elapsed:.1f} min, {step * BATCH * WINDOW / 1e6:.2f} M tokens, loss {loss.item():.3f}, held out {held_out_perplexity(model, held, 100):.2f}', flush=True)
            torch.save(model.state_dict(), f'{folder}/model.pt')
    torch.save(model.state_dict(), f'{folder}/model.pt')
    print('held-out perplexity', held_out_perplexity(model, held, 10 ** 9))
