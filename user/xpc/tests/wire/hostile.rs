//! Messages of senders who do not keep to the form. `tests/fuzz` has random ones.

use crate::objects::all_kinds;
use crate::property::Ports;
use crate::{body, check, random};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use xpc::Dictionary;
use xpc::wire::{DEPTH_MAX, DecodeError, DecodeError::*, encode};

/// Numbers that a length may claim to be.
const CLAIMS: [u64; 14] = [0, 1, 2, 3, 23, 24, 255, 256, 65_535, 65_536, u32::MAX as u64, 1 << 32, 1 << 63, u64::MAX];

/// Returns a few messages, each with the number of its descriptors: an empty one, one with all kinds of objects, and
/// random ones.
fn samples() -> Vec<(Vec<u8>, usize)> {
    let ports = Ports::default();
    let random = (0..8).map(|seed| random::dictionary(&mut ChaCha8Rng::seed_from_u64(seed), &ports));
    let dictionaries = [Dictionary::new(), all_kinds(&ports)].into_iter().chain(random);
    let encoded = dictionaries.map(|dictionary| {
        let mut bytes = Vec::new();
        let rights = encode(&dictionary, &mut bytes).expect("few levels");
        (bytes, rights.len())
    });
    encoded.collect()
}

/// Checks what the decoder says to a root with descriptors that are send rights.
fn refuses(root: &[u8], rights: usize, error: DecodeError) {
    assert_eq!(check(&body(root), &vec![true; rights]), Err(error), "{root:02x?}");
}

/// Checks what the decoder says to an object in a dictionary.
fn refuses_object(object: &[u8], rights: usize, error: DecodeError) {
    refuses(&[&[0xA1, 0x61, b'k'], object].concat(), rights, error);
}

/// Returns the first byte of an item and its number in the shortest form.
fn head(major: u8, number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    minicbor::Encoder::new(&mut bytes).u64(number).expect("a vector grows");
    bytes[0] |= major << 5;
    bytes
}

#[test]
fn no_beginning_of_a_message_is_a_message() {
    for (bytes, rights) in samples() {
        for length in 0..bytes.len() {
            let error = check(&bytes[..length], &vec![true; rights]).expect_err("the end is missing");
            let expected = if length >= 8 && length % 4 != 0 { Unaligned } else { Truncated };
            assert_eq!(error, expected, "{length} of {bytes:02x?}");
            // Padded, it may be another message; the check tells whether it is that in all respects.
            let mut padded = bytes[..length].to_vec();
            padded.resize(length.next_multiple_of(4), 0);
            let _ = check(&padded, &vec![true; rights]);
        }
    }
}

#[test]
fn every_change_of_a_byte_is_refused_or_gives_another_message() {
    let mut accepted = 0;
    for (mut bytes, rights) in samples() {
        for index in 0..bytes.len() {
            let right = bytes[index];
            for wrong in (0..=255).filter(|&wrong| wrong != right) {
                bytes[index] = wrong;
                accepted += usize::from(check(&bytes, &vec![true; rights]).is_ok());
            }
            bytes[index] = right;
        }
    }
    assert!(accepted > 1_000, "{accepted} changes, such as that of a letter, give other messages");
}

#[test]
fn the_prefix_is_checked() {
    let good = body(&[0xA0]);
    for (index, error) in [(0, Version(3)), (3, Version(0x0200_0001)), (4, Flags(2)), (7, Flags(0x0200_0000))] {
        let mut bytes = good.clone();
        bytes[index] ^= 2;
        assert_eq!(check(&bytes, &[]), Err(error));
    }
    assert_eq!(check(&good[..8], &[]), Err(Truncated));
    assert_eq!(check(&[], &[]), Err(Truncated));
}

#[test]
fn bytes_behind_the_root_are_refused() {
    for (bytes, rights) in samples() {
        for more in [&[0; 4][..], &[0xF6; 4], &[0; 400]] {
            let result = check(&[&bytes, more].concat(), &vec![true; rights]);
            assert_eq!(result, Err(TrailingBytes));
        }
    }
    refuses(&[0xA0, 0, 0, 1], 0, TrailingBytes);
    refuses(&[0xA0, 0xA0], 0, TrailingBytes);
}

#[test]
fn a_wrong_length_is_refused() {
    // Strings of two letters, and containers of two elements or entries. What a lower claim leaves is too much for the
    // message; what a higher one adds is missing.
    let contents: [(u8, &[u8]); 4] = [(2, b"ab"), (3, b"ab"), (4, &[0xF6; 2]), (5, b"\x61a\xF6\x61b\xF6")];
    for claim in CLAIMS.into_iter().filter(|&claim| claim != 2) {
        let error = if claim < 2 { TrailingBytes } else { Truncated };
        for (major, content) in contents {
            let object = [&head(major, claim), content].concat();
            // A key with which there is no padding, which else could be taken for what is missing.
            let key = &b"kkkk"[..4 - (object.len() + 2) % 4];
            refuses(&[&[0xA1, 0x60 | key.len() as u8], key, &object].concat(), 0, error);
        }
        let mut root = [&head(5, claim)[..], b"\x61a\xF6"].concat();
        let key = &b"kkkk"[..4 - (root.len() + 2) % 4];
        root.extend([&[0x60 | key.len() as u8], key, &[0xF6]].concat());
        refuses(&root, 0, error);
        // A key of one letter. A claim of more takes the object into itself; without padding, nothing is left for it.
        if claim > 2 {
            refuses(&[&[0xA1][..], &head(3, claim), b"k\xF6"].concat(), 0, Truncated);
        }
    }
}

#[test]
fn containers_that_all_claim_the_rest_of_the_message_are_refused() {
    let mut root = vec![0xA1, 0x61, b'k'];
    // Each claim is true but for what the others claim.
    root.extend((1..=1_000_u16).rev().flat_map(|left| [&[0x99], &(3 * (left - 1)).to_be_bytes()[..]].concat()));
    refuses(&root, 0, Truncated);
}

#[test]
fn every_number_is_in_its_shortest_form() {
    let long = |major: u8, number: u8| {
        [
            vec![major << 5 | 0x18, number],
            vec![major << 5 | 0x19, 0, number],
            vec![major << 5 | 0x1A, 0, 0, 0, number],
            vec![major << 5 | 0x1B, 0, 0, 0, 0, 0, 0, 0, number],
        ]
    };
    for form in 0..4 {
        let rest: [(u8, &[u8]); 6] = [(0, &[]), (1, &[]), (2, b"a"), (3, b"a"), (4, &[0xF6]), (5, b"\x61a\xF6")];
        for (major, rest) in rest {
            refuses_object(&[&long(major, 1)[form], rest].concat(), 0, NotShortest);
        }
        refuses(&[&long(5, 1)[form][..], &[0x61, b'k', 0xF6]].concat(), 0, NotShortest);
        refuses(&[&[0xA1][..], &long(3, 1)[form], &[b'k', 0xF6]].concat(), 0, NotShortest);
        refuses_object(&[&[0xD9, 0x9C, 0x41][..], &long(0, 1)[form]].concat(), 0, NotShortest);
        refuses_object(&[&[0xD9, 0x9C, 0x42][..], &long(1, 1)[form]].concat(), 0, NotShortest);
        refuses_object(&[&[0xD9, 0x9C, 0x44][..], &long(0, 0)[form]].concat(), 1, NotShortest);
    }
    // Tag 37, in too many bytes.
    refuses_object(&[&[0xD9, 0, 37, 0x50][..], &[0; 16]].concat(), 0, NotShortest);
}

#[test]
fn wrong_types_are_refused() {
    for root in [&[0xF6][..], &[0x80], &[0x01], &[0x61, b'k'], &[0xD8, 37, 0xA0], &[0xBF, 0xFF], &[0xFF]] {
        refuses(root, 0, RootNotDictionary);
    }
    // Keys: a number, bytes, nothing, an array, a text of indefinite length.
    for key in [&[0x01][..], &[0x41, b'k'], &[0xF6], &[0x80], &[0x7F, 0x61, b'k', 0xFF]] {
        refuses(&[&[0xA1], key, &[0xF6]].concat(), 0, KeyNotString);
    }
    // Undefined, other simple values, numbers of two and four bytes, indefinite lengths, a break, reserved forms.
    let objects: [&[u8]; 12] = [
        &[0xF7],
        &[0xE0],
        &[0xF8, 0xFF],
        &[0xF9, 0x3C, 0],
        &[0xFA, 0x3F, 0x80, 0, 0],
        &[0x5F, 0x41, 1, 0xFF],
        &[0x7F, 0x61, b'a', 0xFF],
        &[0x9F, 0xFF],
        &[0xBF, 0xFF],
        &[0xFF],
        &[0x1C],
        &[0xFC],
    ];
    objects.iter().for_each(|object| refuses_object(object, 0, UnknownType));
    refuses_object(&[0xF8, 20], 0, UnknownType);
}

#[test]
fn wrong_contents_are_refused() {
    // The tags of a UUID, a uint64, a date, an endpoint, a right and an error before a text.
    for tag in [&[0xD8, 37][..], b"\xD9\x9C\x41", b"\xD9\x9C\x42", b"\xD9\x9C\x43", b"\xD9\x9C\x44", b"\xD9\x9C\x45"] {
        refuses_object(&[tag, &[0x61, b'a']].concat(), 1, WrongContent);
        refuses_object(&[tag, tag, &[0]].concat(), 1, WrongContent);
    }
    for tag in [b"\xD9\x9C\x41", b"\xD9\x9C\x43", b"\xD9\x9C\x44", b"\xD9\x9C\x45"] {
        refuses_object(&[&tag[..], &[0x20]].concat(), 1, WrongContent);
    }
    for tag in [0, 1, 36, 40_000, 40_006, u64::MAX] {
        refuses_object(&[&head(6, tag)[..], &[0]].concat(), 0, UnknownTag(tag));
    }
    refuses_object(&[0xDF], 0, UnknownType);
    for length in [0, 15, 17, 32] {
        let uuid = [&[0xD8, 37][..], &head(2, length), &vec![0; length as usize]].concat();
        refuses_object(&uuid, 0, UuidLength(length as usize));
    }
    refuses_object(&[0xD9, 0x9C, 0x45, 3], 0, UnknownError(3));
    refuses_object(&[&[0xD9, 0x9C, 0x45][..], &head(0, u64::MAX)].concat(), 0, UnknownError(u64::MAX));
    for object in [head(0, 1 << 63), head(0, u64::MAX), head(1, 1 << 63), head(1, u64::MAX)] {
        refuses_object(&object, 0, IntegerOutOfRange);
        refuses_object(&[&[0xD9, 0x9C, 0x42][..], &object].concat(), 0, IntegerOutOfRange);
    }
}

#[test]
fn strings_are_utf_8() {
    for bytes in [&[0x80][..], &[0xC3], &[0xC0, 0x80], &[0xED, 0xA0, 0x80], &[0xF4, 0x90, 0x80, 0x80], &[0xFF]] {
        let text = [&head(3, bytes.len() as u64)[..], bytes].concat();
        refuses_object(&text, 0, NotUtf8);
        refuses(&[&[0xA1][..], &text, &[0xF6]].concat(), 0, NotUtf8);
    }
}

#[test]
fn keys_ascend() {
    refuses(b"\xA2\x61a\xF6\x61a\xF6", 0, DuplicateKey);
    refuses(b"\xA2\x60\xF6\x60\xF6", 0, DuplicateKey);
    refuses(b"\xA2\x61b\xF6\x61a\xF6", 0, UnsortedKeys);
    // By their bytes, not by their lengths.
    refuses(b"\xA2\x61b\xF6\x62aa\xF6", 0, UnsortedKeys);
    refuses(b"\xA3\x61a\xF6\x61b\xF6\x61a\xF6", 0, UnsortedKeys);
}

#[test]
fn nesting_has_a_limit() {
    // The root is a level, too.
    let arrays = |levels: usize| [&vec![0x81; levels - 1][..], &[0x80]].concat();
    assert_eq!(check(&body(&[&[0xA1, 0x61, b'k'][..], &arrays(DEPTH_MAX - 1)].concat()), &[]), Ok(()));
    refuses_object(&arrays(DEPTH_MAX), 0, TooDeep);
    refuses_object(&arrays(60_000), 0, TooDeep);
    let dictionaries = |levels: usize| [&b"\xA1\x60".repeat(levels - 1)[..], &[0xA0]].concat();
    assert_eq!(check(&body(&dictionaries(DEPTH_MAX)), &[]), Ok(()));
    refuses(&dictionaries(DEPTH_MAX + 1), 0, TooDeep);
    refuses(&dictionaries(30_000), 0, TooDeep);
    refuses_object(&[&[0xC1; 60_000][..], &[0]].concat(), 0, UnknownTag(1));
}

#[test]
fn each_right_is_used_once_and_in_order() {
    let rights = |indices: &[u8]| {
        let right = |&index: &u8| [0xD9, 0x9C, 0x44, index];
        [vec![0xA1, 0x61, b'k', 0x80 | indices.len() as u8], indices.iter().flat_map(right).collect()].concat()
    };
    assert_eq!(check(&body(&rights(&[0, 1, 2])), &[true; 3]), Ok(()));
    refuses(&rights(&[0]), 0, NoSuchRight(0));
    refuses(&rights(&[0, 1]), 1, NoSuchRight(1));
    refuses(&rights(&[3]), 3, NoSuchRight(3));
    refuses(&rights(&[0, 3]), 3, NoSuchRight(3));
    refuses(&rights(&[2]), 3, UnsortedRights(2));
    refuses(&rights(&[0, 0]), 2, RightUsedTwice(0));
    refuses(&rights(&[0, 1, 0]), 2, RightUsedTwice(0));
    refuses(&rights(&[1, 0]), 2, UnsortedRights(1));
    refuses(&rights(&[0]), 3, UnusedRights(2));
    refuses(&[0xA0], 1, UnusedRights(1));
    refuses_object(&[&[0xD9, 0x9C, 0x43][..], &head(0, u64::MAX)].concat(), 1, NoSuchRight(u64::MAX));
    let two = body(&rights(&[0, 1]));
    assert_eq!(check(&two, &[true, false]), Err(NotSendRight(1)));
    assert_eq!(check(&two, &[false, true]), Err(NotSendRight(0)));
    assert_eq!(check(&body(&[0xA0]), &[false]), Err(UnusedRights(1)));
}
