// IEEE 754 arithmetic that no device can get wrong, placed in front of the shaders that use it.
//
// WGSL lets a device round either way, divide with 2.5 ULP of error, fuse a multiplication into an addition and flush
// subnormals. So numbers are float32 bit patterns here, and operations are done on their exponents and significands,
// rounded to nearest even.

const SIGN = 0x80000000u;
const INFINITY = 0x7f800000u;
// 2^100, 2^-100 and the smallest normal.
const LARGE = 0x71800000u;
const SMALL = 0x0d800000u;
const NORMAL = 0x00800000u;

// Functions take and give float32 bits without a sign, unless they say otherwise.

// The magnitude significand · 2^(exponent − 23): the significand has 24 bits, or is 0.
struct Magnitude {
  exponent: i32,
  significand: u32,
}

fn unpack(float: u32) -> Magnitude {
  let biased = (float >> 23) & 0xff;
  let fraction = float & 0x7fffff;
  if (biased != 0) {
    return Magnitude(i32(biased) - 127, fraction | 0x800000);
  }
  if (fraction == 0) {
    return Magnitude(0, 0);
  }
  let shift = countLeadingZeros(fraction) - 8;
  return Magnitude(-126 - i32(shift), fraction << shift);
}

// The float32 nearest to wide · 2^(exponent − 30). `wide` has 31 bits; `more` says that something below its last bit was
// cut off.
fn pack(exponent: i32, wide: u32, more: bool) -> u32 {
  if (exponent > 127) {
    return INFINITY;
  }
  if (exponent < -150) {
    return 0;
  }
  let subnormal = exponent < -126;
  let cut = select(7u, u32(-119 - exponent), subnormal);
  let kept = wide >> cut;
  let rest = wide & ((1u << cut) - 1);
  let tie = 1u << (cut - 1);
  let up = rest > tie || (rest == tie && (more || (kept & 1) == 1));
  // A normal's leading bit, and a carry, add 1 to the exponent field.
  return (select(u32(exponent + 126), 0, subnormal) << 23) + kept + select(0u, 1u, up);
}

fn add(x: u32, y: u32) -> u32 {
  if (x == 0 || y == 0) {
    return x | y;
  }
  let large = unpack(max(x, y));
  let small = unpack(min(x, y));
  let distance = min(u32(large.exponent - small.exponent), 31);
  let addend = small.significand << 6;
  let aligned = addend >> distance;
  let more = (aligned << distance) != addend;
  let sum = (large.significand << 6) + aligned;
  if (sum < 0x40000000) {
    return pack(large.exponent, sum << 1, more);
  }
  return pack(large.exponent + 1, sum, more);
}

// The divisor is finite and above 0.
fn divide(x: u32, y: u32) -> u32 {
  let dividend = unpack(x);
  let divisor = unpack(y);
  if (dividend.significand == 0) {
    return 0;
  }
  var exponent = dividend.exponent - divisor.exponent;
  var rest = dividend.significand;
  if (rest < divisor.significand) {
    rest <<= 1;
    exponent -= 1;
  }
  // The leading 1, then 30 bits, six at a time.
  var quotient = 1u;
  rest -= divisor.significand;
  for (var i = 0; i < 5; i++) {
    rest <<= 6;
    let digits = rest / divisor.significand;
    quotient = (quotient << 6) | digits;
    rest -= digits * divisor.significand;
  }
  return pack(exponent, quotient, rest != 0);
}

fn half_to_float(float16: u32) -> u32 {
  let magnitude = float16 & 0x7fff;
  // Another bias of the exponent; infinities and NaNs keep the highest exponent.
  let normal = (magnitude << 13) + select(0x38000000u, 0x70000000u, magnitude >= 0x7c00);
  // An integer below 2^10, as a float32 exactly, and that times 2^-24.
  let subnormal = select(bitcast<u32>(f32(magnitude)) - (24u << 23), 0, magnitude == 0);
  return ((float16 & 0x8000) << 16) | select(normal, subnormal, magnitude < 0x400);
}
