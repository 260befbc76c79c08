// Blockwise round-to-nearest quantization of a tile of weights, one invocation a block.
//
// The operations of the formula are those of float.wgsl, which goes in front. Floating-point arithmetic only gives an
// estimate of each code, which is taken where no error of its own could have changed it.

// What changes the arithmetic is compiled in; what only changes how far loops go and where things lie is not, so that a
// model needs a pipeline or two, whatever its shapes.
override bits: u32;
override symmetric: bool;
override half: bool;

struct Tile {
  // Steps of K and output channels in the tile.
  rows: u32,
  columns: u32,
  // Elements from one step of K, and from one output channel, to the next; one of them is 1.
  row_stride: u32,
  column_stride: u32,
  // Steps of K in a block.
  block: u32,
  // Blocks of a channel, and the first one that lies in the tile.
  blocks: u32,
  first: u32,
  // Bits of a channel's packed zero points.
  zero_point_bits: u32,
}

@group(0) @binding(0) var<uniform> tile: Tile;
@group(0) @binding(1) var<storage, read> weights: array<u32>;
// [columns, blocks, block·bits/32]
@group(0) @binding(2) var<storage, read_write> codes: array<u32>;
// [columns, blocks], and zero points [columns, zero_point_bits]: all 0 before, and invocations share words.
@group(0) @binding(3) var<storage, read_write> scales: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read_write> zero_points: array<atomic<u32>>;

const ONE = 0x3f800000u;

// Functions take and give float32 bits without a sign, unless they say otherwise.

// Divided by a power of two.
fn shrink(x: u32, power: i32) -> u32 {
  let magnitude = unpack(x);
  return select(pack(magnitude.exponent - power, magnitude.significand << 7, false), 0, magnitude.significand == 0);
}

// Halves away from zero, at most `largest`.
fn round_half_away(x: u32, largest: u32) -> u32 {
  let magnitude = unpack(x);
  if (magnitude.significand == 0 || magnitude.exponent < -1) {
    return 0;
  }
  if (magnitude.exponent > 8) {
    return largest;
  }
  let doubled = magnitude.significand >> u32(22 - magnitude.exponent);
  return min((doubled + 1) >> 1, largest);
}

// Below 65520.
fn float_to_half(float: u32) -> u32 {
  if (float >= 0x38800000) {
    return (float - 0x38000000 + 0xfff + ((float >> 13) & 1)) >> 13;
  }
  if (float <= 0x33000000) {
    return 0;
  }
  let cut = 126 - (float >> 23);
  let significand = (float & 0x7fffff) | 0x800000;
  let kept = significand >> cut;
  let rest = significand & ((1u << cut) - 1);
  let tie = 1u << (cut - 1);
  return kept + select(0u, 1u, rest > tie || (rest == tie && (kept & 1) == 1));
}

// weight·reciprocal + zero_point, off by less than 2^-12 whatever the device does, for a reciprocal of 0 or from `NORMAL` to
// `LARGE`: the product is below 512, and a subnormal weight taken as 0 stands for less than 2^-26.
fn estimate(weight: u32, reciprocal: u32, zero_point: u32) -> f32 {
  return bitcast<f32>(weight) * bitcast<f32>(reciprocal) + f32(zero_point);
}

// roundf(weight·reciprocal + zero_point) within 0…largest; 0·∞ counts as 0. Weight and reciprocal have their signs.
fn code_of(weight: u32, reciprocal: u32, zero_point: u32, largest: u32) -> u32 {
  let value = unpack(weight & ~SIGN);
  let factor = unpack(reciprocal & ~SIGN);
  let negative = ((weight ^ reciprocal) & SIGN) != 0;
  if ((reciprocal & ~SIGN) == INFINITY) {
    return select(largest, 0, negative || value.significand == 0);
  }
  if (value.significand == 0 || factor.significand == 0) {
    return zero_point;
  }

  // The product of two 24-bit significands, from 12-bit halves: high · 2^24 + low.
  let a1 = value.significand >> 12;
  let a0 = value.significand & 0xfff;
  let b1 = factor.significand >> 12;
  let b0 = factor.significand & 0xfff;
  let middle = a1 * b0 + a0 * b1;
  let bottom = a0 * b0 + ((middle & 0xfff) << 12);
  let high = a1 * b1 + (middle >> 12) + (bottom >> 24);
  let low = bottom & 0xffffff;

  var exponent = value.exponent + factor.exponent;
  var product = high;
  var rest = low << 8;
  if (high >= 0x800000) {
    exponent += 1;
  } else {
    product = (high << 1) | (low >> 23);
    rest <<= 1;
  }
  // A carry into a 25th bit needs no new exponent: what follows only shifts.
  product += select(0u, 1u, rest > SIGN || (rest == SIGN && (product & 1) == 1));

  // Below 1/4 the product changes no rounding; from 512 on it goes past either end.
  if (exponent < -2) {
    return zero_point;
  }
  if (exponent > 8) {
    return select(largest, 0, negative);
  }

  // The exact sum, in whole and 2^-32.
  var whole = i32(product >> u32(23 - exponent));
  var fraction = product << u32(9 + exponent);
  if (negative) {
    whole = i32(zero_point) - whole - select(0, 1, fraction != 0);
    fraction = 0u - fraction;
  } else {
    whole += i32(zero_point);
  }
  if (whole < 0) {
    return 0;
  }
  // What float32 addition rounds up to the half above: the last half unit of its significand. Below 1/2 there is none,
  // for there the sum needs no rounding.
  let slack = select(0u, 256u << firstLeadingBit(u32(whole)), whole > 0);
  return min(u32(whole) + select(0u, 1u, fraction >= SIGN - slack), largest);
}

fn weight_at(row: u32, column: u32) -> u32 {
  let index = row * tile.row_stride + column * tile.column_stride;
  if (half) {
    return half_to_float((weights[index >> 1] >> ((index & 1) * 16)) & 0xffff);
  }
  return weights[index];
}

fn store_scale(at: u32, scale: u32) {
  if (half) {
    atomicOr(&scales[at >> 1], scale << ((at & 1) * 16));
  } else {
    atomicStore(&scales[at], scale);
  }
}

// Neighbours in x read neighbouring columns; neighbours in y write neighbouring blocks.
@compute @workgroup_size(16, 4)
fn quantize(@builtin(global_invocation_id) id: vec3u) {
  let column = id.x;
  let block = tile.block;
  let top = id.y * block;
  if (column >= tile.columns || top >= tile.rows) {
    return;
  }
  let count = min(block, tile.rows - top);
  let b = tile.first + id.y;
  let at = column * tile.blocks + b;
  let largest = (1u << bits) - 1;
  let words = block * bits / 32;

  // Compared as integers that order as floats do, +0 and −0 alike: among equals the first one stays.
  var lowest = weight_at(top, column);
  var highest = lowest;
  var lowest_key = 0x7fffffff;
  var highest_key = -0x7fffffff;
  var finite = true;
  for (var i = 0u; i < count; i++) {
    let weight = weight_at(top + i, column);
    let magnitude = i32(weight & ~SIGN);
    let key = select(magnitude, -magnitude, weight >= SIGN);
    finite = finite && u32(magnitude) < INFINITY;
    if (key < lowest_key) {
      lowest_key = key;
      lowest = weight;
    }
    if (key > highest_key) {
      highest_key = key;
      highest = weight;
    }
  }
  if (!finite) {
    store_scale(at, select(0x7fc00000u, 0x7e00u, half));
    for (var w = 0u; w < words; w++) {
      codes[at * words + w] = 0;
    }
    return;
  }

  var scale: u32;
  var sign = 0u;
  var zero_point: u32;
  if (symmetric) {
    let extreme = select(lowest, highest, (highest & ~SIGN) > (lowest & ~SIGN));
    scale = shrink(extreme & ~SIGN, i32(bits) - 1);
    sign = ~extreme & SIGN;
    zero_point = 1u << (bits - 1);
  } else {
    let low = select(0u, lowest & ~SIGN, lowest_key < 0);
    let high = select(0u, highest, highest_key > 0);
    let range = add(low, high);
    scale = select(INFINITY, divide(range, unsigned_float(largest)), range < INFINITY);
    if (scale != 0 && scale < INFINITY) {
      zero_point = round_half_away(divide(low, scale), largest);
    }
    let bit = column * tile.zero_point_bits + b * bits;
    atomicOr(&zero_points[bit >> 5], zero_point << (bit & 31));
  }
  if (half) {
    let narrow = float_to_half(scale);
    store_scale(at, narrow | (sign >> 16));
    scale = half_to_float(narrow);
  } else {
    store_scale(at, scale | sign);
  }

  var reciprocal = 0u;
  if (scale != 0 && scale < INFINITY) {
    reciprocal = divide(ONE, scale);
  }
  reciprocal |= sign;
  let factor = reciprocal & ~SIGN;
  let estimable = factor == 0 || (factor >= NORMAL && factor < LARGE);
  let per_word = 32 / bits;
  // 32 elements at a time: estimates of all, then the doubtful ones again.
  for (var start = 0u; start < block; start += 32) {
    var doubtful = 0u;
    for (var w = start / per_word; w < min(words, start / per_word + bits); w++) {
      var word = 0u;
      let end = min((w + 1) * per_word, count);
      for (var i = w * per_word; i < end; i++) {
        let value = estimate(weight_at(top + i, column), reciprocal, zero_point);
        let nearest = floor(value + 0.5);
        word |= (u32(clamp(nearest, 0, f32(largest))) & largest) << (bits * (i % per_word));
        let sure = estimable && abs(value - nearest) < 0.5 - 1.0 / 1024;
        doubtful |= select(1u, 0u, sure) << (i - start);
      }
      codes[at * words + w] = word;
    }
    for (; doubtful != 0; doubtful &= doubtful - 1) {
      let i = start + firstTrailingBit(doubtful);
      let code = code_of(weight_at(top + i, column), reciprocal, zero_point, largest);
      let w = at * words + i / per_word;
      let shift = bits * (i % per_word);
      codes[w] = (codes[w] & ~(largest << shift)) | (code << shift);
    }
  }
}

// 3, 15 or 255 as a float32.
fn unsigned_float(value: u32) -> u32 {
  return select(select(0x437f0000u, 0x41700000u, value == 15), 0x40400000u, value == 3);
}
