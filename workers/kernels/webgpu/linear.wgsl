// One scale a channel: `range` finds the smallest and largest weight of each, `encode` makes the codes once scales and
// zero points are known. A tile is a stretch of the tensor's elements in order. float.wgsl goes in front.

override half: bool;

struct Tile {
  // Elements in the tile; how many from the first on belong to channel number `channel`, and to each that follows.
  count: u32,
  left: u32,
  inner: u32,
  channel: u32,
  channels: u32,
  // For `range`: how far apart the elements of an invocation are.
  lanes: u32,
  // For `encode`: the smallest code of the type.
  lowest: i32,
}

// A scale as float32 bits, 0 where every code is the zero point.
struct Grid {
  scale: u32,
  zero_point: i32,
}

@group(0) @binding(0) var<uniform> tile: Tile;
@group(0) @binding(1) var<storage, read> weights: array<u32>;
// [count], four to a word.
@group(0) @binding(2) var<storage, read_write> codes: array<u32>;
// [channels, 2]: keys of the smallest and the largest weight, at first 0.
@group(0) @binding(3) var<storage, read_write> ranges: array<atomic<i32>>;
// [channels]
@group(0) @binding(4) var<storage, read_write> grids: array<Grid>;

// Elements of an invocation of `range`.
const STEPS = 64u;

fn half_at(at: u32) -> u32 {
  return (weights[at >> 1] >> ((at & 1) * 16)) & 0xffff;
}

fn channel_of(at: u32) -> u32 {
  if (at < tile.left) {
    return tile.channel;
  }
  return (tile.channel + 1 + (at - tile.left) / tile.inner) % tile.channels;
}

// The weight's bits as a signed integer that orders as the weights do.
fn key_at(at: u32) -> i32 {
  if (half) {
    let bits = i32(half_at(at) << 16) >> 16;
    return bits ^ ((bits >> 31) & 0x7fff);
  }
  let bits = bitcast<i32>(weights[at]);
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

// Many invocations find nothing new, and a load is cheaper than an exchange.
fn widen_range(channel: u32, low: i32, high: i32) {
  if (low < atomicLoad(&ranges[2 * channel])) {
    atomicMin(&ranges[2 * channel], low);
  }
  if (high > atomicLoad(&ranges[2 * channel + 1])) {
    atomicMax(&ranges[2 * channel + 1], high);
  }
}

@compute @workgroup_size(64)
fn range(@builtin(global_invocation_id) id: vec3u) {
  var at = id.x / tile.lanes * tile.lanes * STEPS + id.x % tile.lanes;
  if (at >= tile.count) {
    return;
  }
  var channel = channel_of(at);
  var low = 0;
  var high = 0;
  for (var step = 0u; step < STEPS && at < tile.count; step++) {
    let here = channel_of(at);
    if (here != channel) {
      widen_range(channel, low, high);
      channel = here;
      low = 0;
      high = 0;
    }
    let key = key_at(at);
    low = min(low, key);
    high = max(high, key);
    at += tile.lanes;
  }
  widen_range(channel, low, high);
}

// A number below 2^9, without its sign, to an integer; halves to even.
fn round_half_even(x: u32) -> i32 {
  let magnitude = unpack(x);
  if (magnitude.significand == 0 || magnitude.exponent < -1) {
    return 0;
  }
  let cut = u32(23 - magnitude.exponent);
  let whole = magnitude.significand >> cut;
  let rest = magnitude.significand & ((1u << cut) - 1);
  let tie = 1u << (cut - 1);
  return i32(whole + select(0u, 1u, rest > tie || (rest == tie && (whole & 1) == 1)));
}

// The scale is normal, the quotient below 2^9.
fn steps_of(weight: u32, scale: u32) -> i32 {
  // Off by less than 2^-12 whatever the device does, for scales above 2^-100: a subnormal weight taken as 0 stands for less
  // than 2^-26 then.
  let estimate = bitcast<f32>(weight) / bitcast<f32>(scale);
  let nearest = floor(estimate + 0.5);
  if (scale > SMALL && abs(estimate - nearest) < 0.5 - 1.0 / 1024) {
    return i32(nearest);
  }
  let steps = round_half_even(divide(weight & ~SIGN, scale));
  return select(steps, -steps, weight >= SIGN);
}

@compute @workgroup_size(64)
fn encode(@builtin(global_invocation_id) id: vec3u) {
  let start = id.x * 4;
  if (start >= tile.count) {
    return;
  }
  var word = 0u;
  for (var i = 0u; i < min(4, tile.count - start); i++) {
    let at = start + i;
    let grid = grids[channel_of(at)];
    var code = grid.zero_point;
    if (grid.scale != 0) {
      var weight: u32;
      if (half) {
        weight = half_to_float(half_at(at));
      } else {
        weight = weights[at];
      }
      code = clamp(code + steps_of(weight, grid.scale), tile.lowest, tile.lowest + 255);
    }
    word |= (u32(code) & 0xff) << (8 * i);
  }
  codes[id.x] = word;
}
