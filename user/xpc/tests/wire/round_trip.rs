//! What is encoded and decoded is as before.

use crate::property::Ports;
use crate::{check, random};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use xpc::wire::{DEPTH_MAX, Descriptor, EncodeError, decode, encode};
use xpc::{Dictionary, Object};

/// Random dictionaries, each with a seed of its own.
const DICTIONARIES: u64 = 5_000;

/// Returns a dictionary that is nested this deep, arrays and dictionaries in turn.
fn nested(levels: usize) -> Dictionary {
    let mut object = Object::Dictionary(Dictionary::new());
    for level in 1..levels {
        object = match level % 2 == 0 || level == levels - 1 {
            true => Object::Dictionary(Dictionary::from_iter([("k", object)])),
            false => Object::Array(vec![object]),
        };
    }
    match object {
        Object::Dictionary(dictionary) => dictionary,
        other => panic!("{other:?}"),
    }
}

#[test]
fn random_dictionaries_survive() {
    let seeds = std::env::var("TALLY_SEED").ok().map_or(0..DICTIONARIES, |seed| {
        let seed = seed.parse().expect("TALLY_SEED is a number");
        seed..seed + 1
    });
    for seed in seeds {
        let ports = Ports::default();
        let dictionary = random::dictionary(&mut ChaCha8Rng::seed_from_u64(seed), &ports);
        // The bytes before a body must not matter.
        let mut buffer = vec![7; seed as usize % 4];
        let rights = encode(&dictionary, &mut buffer).expect("few levels");
        let body = &buffer[seed as usize % 4..];
        assert!(body.len().is_multiple_of(4), "TALLY_SEED={seed}");
        let sent = rights.len();
        let decoded = decode(body, rights.into_iter().map(Descriptor::Send).collect());
        let decoded = decoded.unwrap_or_else(|error| panic!("TALLY_SEED={seed}: {error}: {dictionary:?}"));
        // A NaN differs from itself; its description does not.
        assert_eq!(format!("{decoded:?}"), format!("{dictionary:?}"), "TALLY_SEED={seed}");
        let mut again = Vec::new();
        encode(&decoded, &mut again).expect("few levels");
        assert_eq!(again, body, "TALLY_SEED={seed}");
        assert_eq!(check(body, &vec![true; sent]), Ok(()), "TALLY_SEED={seed}");
        drop((dictionary, decoded));
        assert_eq!(ports.live(), 0, "TALLY_SEED={seed}");
    }
}

#[test]
fn any_bits_of_a_double_survive() {
    for bits in [0, 1, 1 << 63, 0x7FF0_0000_0000_0001, 0x7FF8_0000_0000_0000, u64::MAX, 0x7FF0_0000_0000_0000] {
        let mut buffer = Vec::new();
        encode(&Dictionary::from_iter([("d", f64::from_bits(bits))]), &mut buffer).expect("one level");
        let decoded = decode(&buffer, Vec::new()).expect("it was just encoded");
        assert_eq!(decoded.get_double("d").map(f64::to_bits), Some(bits));
    }
}

#[test]
fn the_deepest_nesting_survives_and_one_level_more_has_no_encoding() {
    let mut buffer = vec![1, 2, 3];
    assert_eq!(encode(&nested(DEPTH_MAX + 1), &mut buffer), Err(EncodeError::TooDeep));
    assert_eq!(buffer, [1, 2, 3]);
    assert_eq!(EncodeError::TooDeep.to_string(), "the dictionary is nested deeper than 32 levels");
    buffer.clear();
    assert_eq!(encode(&nested(DEPTH_MAX), &mut buffer), Ok(vec![]));
    assert_eq!(decode(&buffer, Vec::new()), Ok(nested(DEPTH_MAX)));
}

#[test]
fn a_message_shares_the_rights_of_its_dictionary() {
    let ports = Ports::default();
    let mut dictionary = Dictionary::new();
    dictionary.set_mach_send("one", ports.right(0x103));
    let rights = encode(&dictionary, &mut Vec::new()).expect("one level");
    assert_eq!(rights.len(), 1);
    drop(dictionary);
    assert_eq!(ports.live(), 1, "the right must live until the message has been sent");
    drop(rights);
    assert_eq!(ports.live(), 0);
}
