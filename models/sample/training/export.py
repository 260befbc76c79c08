"""Writes the trained model as ONNX, in the shape decoder exports on the Hugging Face Hub have:
input_ids, attention_mask, position_ids, past_key_values.* -> logits, present.*

usage: export.py DIR  ->  DIR/model.onnx and DIR/model_fp16.onnx, from DIR/model.pt
"""
import sys

import numpy as np
import onnx
import torch
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

V, D, L, H, KV, FF = 4096, 256, 6, 4, 2, 768
hd = D // H
MAXP = 1024


def build(sd, dtype, opset=18):
    """The model of a state dict, with weights, activations and cache of `dtype`; norms and logits are f32."""
    np_t = np.float16 if dtype == T.FLOAT16 else np.float32
    nodes, inits = [], []

    def init(name, a):
        inits.append(nh.from_array(np.asarray(a, order="C"), name))
        return name

    def n(op, ins, out, **kw):
        nodes.append(h.make_node(op, ins, [out] if isinstance(out, str) else out, name=(out if isinstance(out, str) else out[0]) + '/' + op, **kw))
        return out

    W = {k: v.detach().float().numpy() for k, v in sd.items() if isinstance(v, torch.Tensor)}
    c64 = lambda name, v: init(name, np.array(v, np.int64))

    emb = init('model.embed_tokens.weight', W['e.weight'].astype(np_t))
    x = n('Gather', [emb, 'input_ids'], 'h0')

    # rotary tables, looked up by position
    f = 1 / (10000 ** (np.arange(0, hd, 2) / hd))
    ang = np.outer(np.arange(MAXP), f)
    init('rope.cos', np.cos(ang).astype(np_t))
    init('rope.sin', np.sin(ang).astype(np_t))
    c64('ax1', [1])
    c64('ax2', [2])
    c64('shape_q', [0, 0, H, hd])
    c64('shape_kv', [0, 0, KV, hd])
    c64('shape_o', [0, 0, D])
    n('Unsqueeze', [n('Gather', ['rope.cos', 'position_ids'], 'cos3'), 'ax1'], 'cos')
    n('Unsqueeze', [n('Gather', ['rope.sin', 'position_ids'], 'sin3'), 'ax1'], 'sin')

    # additive mask [batch, 1, query, total]: causal by absolute column index, plus padding
    init('neg', np.array(-60000 if dtype == T.FLOAT16 else -1e9, np_t))
    init('zero', np.array(0, np_t))
    init('one_i', np.array(1, np.int64))
    init('zero_i', np.array(0, np.int64))
    init('idx1', np.array(1, np.int64))
    n('Shape', ['input_ids'], 'ids_shape')
    n('Gather', ['ids_shape', 'idx1'], 'q_len')
    n('Shape', ['attention_mask'], 'mask_shape')
    n('Gather', ['mask_shape', 'idx1'], 'total')
    n('Sub', ['total', 'q_len'], 'past_len')
    n('Range', ['zero_i', 'total', 'one_i'], 'cols')
    n('Range', ['past_len', 'total', 'one_i'], 'rows')
    n('Unsqueeze', ['rows', 'ax1'], 'rows2')
    n('Greater', ['cols', 'rows2'], 'future')
    n('Where', ['future', 'neg', 'zero'], 'causal')
    c64('ax12', [1, 2])
    n('Unsqueeze', ['attention_mask', 'ax12'], 'am4')
    n('Equal', ['am4', 'zero_i'], 'pad')
    n('Where', ['pad', 'neg', 'zero'], 'padbias')
    n('Add', ['causal', 'padbias'], 'bias')

    init('eps', np.array(1e-5, np.float32))
    init('two', np.array(2, np.float32))
    init('scale', np.array(1 / np.sqrt(hd), np_t))
    c64('axm1', [-1])

    def rms(x, g, p):
        g = init(p + '.weight', W[g].astype(np.float32))
        xf = n('Cast', [x], p + '/f32', to=T.FLOAT) if dtype != T.FLOAT else x
        v = n('ReduceMean', [n('Pow', [xf, 'two'], p + '/sq'), 'axm1'], p + '/var', keepdims=1)
        y = n('Mul', [n('Div', [xf, n('Sqrt', [n('Add', [v, 'eps'], p + '/ve')], p + '/std')], p + '/norm'), g], p + '/out32')
        return n('Cast', [y], p + '/out', to=dtype) if dtype != T.FLOAT else y

    def lin(x, w, p):
        return n('MatMul', [x, init(p + '.weight', W[w].T.astype(np_t))], p + '/out')

    def rope(x, p):
        a, b = n('Split', [x], [p + '/a', p + '/b'], axis=-1, num_outputs=2)
        l = n('Sub', [n('Mul', [a, 'cos'], p + '/ac'), n('Mul', [b, 'sin'], p + '/bs')], p + '/l')
        r = n('Add', [n('Mul', [b, 'cos'], p + '/bc'), n('Mul', [a, 'sin'], p + '/as')], p + '/r')
        return n('Concat', [l, r], p + '/rope', axis=-1)

    c64('shape_rep', [0, H, -1, hd])
    for i in range(L):
        P = f'model.layers.{i}'
        B = f'b.{i}'
        y = rms(x, B + '.n1.weight', P + '.input_layernorm')

        def head(w, name, shape):
            z = lin(y, B + w, f'{P}.self_attn.{name}')
            return n('Transpose', [n('Reshape', [z, shape], f'{P}.{name}/4d')], f'{P}.{name}/t', perm=[0, 2, 1, 3])

        q = rope(head('.q.weight', 'q_proj', 'shape_q'), f'{P}.q')
        k = rope(head('.k.weight', 'k_proj', 'shape_kv'), f'{P}.k')
        v = head('.v.weight', 'v_proj', 'shape_kv')
        k = n('Concat', [f'past_key_values.{i}.key', k], f'present.{i}.key', axis=2)
        v = n('Concat', [f'past_key_values.{i}.value', v], f'present.{i}.value', axis=2)

        def rep(z, p):
            u = n('Unsqueeze', [z, 'ax2'], p + '/u')
            u = n('Concat', [u] * (H // KV), p + '/c', axis=2)
            return n('Reshape', [u, 'shape_rep'], p + '/rep')

        s = n('MatMul', [q, n('Transpose', [rep(k, f'{P}.kr')], f'{P}.kt', perm=[0, 1, 3, 2])], f'{P}.qk')
        s = n('Softmax', [n('Add', [n('Mul', [s, 'scale'], f'{P}.qks'), 'bias'], f'{P}.qkb')], f'{P}.probs', axis=-1)
        o = n('Reshape', [n('Transpose', [n('MatMul', [s, rep(v, f'{P}.vr')], f'{P}.ctx')], f'{P}.ctxt', perm=[0, 2, 1, 3]), 'shape_o'], f'{P}.ctxr')
        x = n('Add', [x, lin(o, B + '.o.weight', f'{P}.self_attn.o_proj')], f'{P}.attn_res')
        y = rms(x, B + '.n2.weight', P + '.post_attention_layernorm')
        g = lin(y, B + '.g.weight', f'{P}.mlp.gate_proj')
        u = lin(y, B + '.u.weight', f'{P}.mlp.up_proj')
        m = n('Mul', [n('Mul', [g, n('Sigmoid', [g], f'{P}.sig')], f'{P}.silu'), u], f'{P}.glu')
        x = n('Add', [x, lin(m, B + '.d.weight', f'{P}.mlp.down_proj')], f'{P}.mlp_res')

    y = rms(x, 'n.weight', 'model.norm')
    n('Transpose', [emb], 'lm_head.weight_t', perm=[1, 0])  # tied with the embedding, as exports leave it
    if dtype == T.FLOAT:
        n('MatMul', [y, 'lm_head.weight_t'], 'logits')
    else:
        n('Cast', [n('MatMul', [y, 'lm_head.weight_t'], 'logits_h')], 'logits', to=T.FLOAT)

    I = lambda name, t, s: h.make_tensor_value_info(name, t, s)
    ins = [I('input_ids', T.INT64, ['batch_size', 'sequence_length']), I('attention_mask', T.INT64, ['batch_size', 'total_sequence_length']), I('position_ids', T.INT64, ['batch_size', 'sequence_length'])]
    outs = [I('logits', T.FLOAT, ['batch_size', 'sequence_length', V])]
    for i in range(L):
        for kv in ('key', 'value'):
            ins.append(I(f'past_key_values.{i}.{kv}', dtype, ['batch_size', KV, 'past_sequence_length', hd]))
            outs.append(I(f'present.{i}.{kv}', dtype, ['batch_size', KV, 'total_sequence_length', hd]))
    g = h.make_graph(nodes, 'sample-lm', ins, outs, inits)
    m = h.make_model(g, opset_imports=[h.make_opsetid('', opset)], producer_name='sample-lm')
    m.ir_version = 8
    onnx.checker.check_model(m)
    return m


if __name__ == '__main__':
    folder = sys.argv[1]
    sd = torch.load(folder + '/model.pt', map_location='cpu')
    for dt, name in ((T.FLOAT, 'model.onnx'), (T.FLOAT16, 'model_fp16.onnx')):
        m = build(sd, dt)
        open(folder + '/' + name, 'wb').write(m.SerializeToString())
        print(name, len(m.SerializeToString()))
