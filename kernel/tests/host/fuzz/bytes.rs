//! Changes to bytes.

use crate::simulation::Random;

/// Numbers at which something changes: limits of counts, sizes, types, pages and addresses.
const NUMBERS: [u64; 24] = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    16,
    24,
    32,
    33,
    55,
    56,
    64,
    0xFF,
    0x1000,
    0x40_0000,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0x7FFF_FFFF_E000,
    0x8000_0000_0000,
    0xFFFF_FFFF_FFFF_F000,
    u64::MAX,
];

/// Changes the bytes in up to four ways, or not at all.
pub fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.below(5) {
        change_once(bytes, random);
    }
}

fn change_once(bytes: &mut Vec<u8>, random: &mut Random) {
    let length = bytes.len() as u64;
    if length == 0 {
        return bytes.push(random.next() as u8);
    }
    let at = random.below(length) as usize;
    // Fields are aligned.
    let field = at / 4 * 4;
    match random.below(16) {
        0..3 => bytes[at] ^= 1 << random.below(8),
        3 | 4 => bytes[at] = bytes[at].wrapping_add(random.pick(&[1, 0xFF])),
        5 => bytes[at] = random.next() as u8,
        6..9 => put(bytes, field, &(random.pick(&NUMBERS) as u32).to_le_bytes()),
        9 | 10 => put(bytes, at / 8 * 8, &random.pick(&NUMBERS).to_le_bytes()),
        11 => put(bytes, field, &(random.next() as u32).to_le_bytes()),
        12 => bytes.truncate(at),
        13 => {
            let end = (at + random.below(12) as usize).min(bytes.len());
            bytes.drain(at..end);
        }
        14 => {
            // Something once more.
            let end = (field + 4 * random.below(16) as usize).min(bytes.len());
            let piece = bytes[field..end].to_vec();
            bytes.splice(field..field, piece);
        }
        _ => bytes.extend((0..random.below(40)).map(|_| random.next() as u8)),
    }
}

/// Writes as many of the bytes as there is room for.
fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    let end = (at + new.len()).min(bytes.len());
    bytes[at..end].copy_from_slice(&new[..end - at]);
}
