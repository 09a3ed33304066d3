//! ELF files that are changed at random, to be spawned.

use super::random::Random;

/// Bytes of the headers: one of the file, and one of its only segment.
const HEADERS: usize = 64 + 56;
/// Ends the task with status 0: `mov eax, 0x2000001; xor edi, edi; syscall`.
const CODE: [u8; 9] = [0xB8, 1, 0, 0, 2, 0x31, 0xFF, 0x0F, 0x05];
/// Bytes of a file.
pub(super) const SIZE: usize = HEADERS + CODE.len();

/// Where the fields of both headers are, and how many bytes they have.
const FIELDS: [(usize, usize); 21] = [
    (4, 1),
    (5, 1),
    (16, 2),
    (18, 2),
    (20, 4),
    (24, 8),
    (32, 8),
    (40, 8),
    (48, 4),
    (52, 2),
    (54, 2),
    (56, 2),
    (58, 2),
    (64, 4),
    (68, 4),
    (72, 8),
    (80, 8),
    (88, 8),
    (96, 8),
    (104, 8),
    (112, 8),
];

/// Values at which something changes: limits of addresses, pages, counts and types.
const VALUES: [u64; 20] = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    32,
    33,
    55,
    56,
    64,
    120,
    0x1000,
    0x40_0000,
    0x7FFF_FFFF_E000,
    0x8000_0000_0000,
    0x7FFF_FFFF_FFFF_FFFF,
    u64::MAX,
];

/// Returns a program of one page that ends at once.
fn plain() -> [u8; SIZE] {
    let mut file = [0; SIZE];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7FELF\x02\x01\x01");
    // Type, machine, version, entry point; the place of the program headers; the sizes of both, and one segment.
    put(16, &[2, 0, 62, 0, 1, 0, 0, 0, HEADERS as u8, 0, 0x40]);
    put(32, &[64]);
    put(52, &[64, 0, 56, 0, 1]);
    // The segment: loadable, read and execute, from the start of the file.
    put(64, &[1, 0, 0, 0, 5]);
    put(80, &[0, 0, 0x40]);
    put(96, &[SIZE as u8]);
    put(104, &[SIZE as u8]);
    put(HEADERS, &CODE);
    file
}

/// Returns a program in which up to four things are changed.
pub(super) fn changed(random: &mut Random) -> [u8; SIZE] {
    let mut file = plain();
    for _ in 0..random.below(5) {
        let (at, size) = random.pick(&FIELDS);
        let field = &mut file[at..at + size];
        match random.below(4) {
            0 => field[random.below(size as u64) as usize] ^= 1 << random.below(8),
            1 => field.copy_from_slice(&random.next().to_le_bytes()[..size]),
            2 => field[0] = field[0].wrapping_add(random.pick(&[1, 0xFF])),
            _ => field.copy_from_slice(&random.pick(&VALUES).to_le_bytes()[..size]),
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_program_differs_in_few_bytes() {
        let mut random = Random::new(1, 1);
        let (mut same, mut most) = (0, 0);
        for _ in 0..1_000 {
            let file = changed(&mut random);
            let differences = file.iter().zip(plain()).filter(|(a, b)| **a != *b).count();
            same += usize::from(differences == 0);
            most = most.max(differences);
        }
        assert!((100..500).contains(&same) && (8..=32).contains(&most), "{same} are the same, at most {most} differ");
    }
}
