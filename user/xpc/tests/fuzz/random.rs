//! Random objects.

use crate::property::Ports;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;
use xpc::{Dictionary, Endpoint, Object, XpcError};

/// Objects that a random dictionary has at most.
const OBJECTS_MAX: usize = 40;
/// Levels of a random dictionary.
const LEVELS_MAX: usize = 6;

/// Few, so that keys are often alike; most of one byte, because any change to another letter is no letter.
const LETTERS: [char; 24] = [
    'a', 'a', 'a', 'a', 'a', 'a', 'b', 'b', 'b', 'b', 'c', 'c', 'c', 'd', 'd', 'k', 'k', 'z', '\0', '"', '\n', 'é',
    '€', '𝄞',
];

/// Returns a number below `bound`.
pub fn below(random: &mut ChaCha8Rng, bound: usize) -> usize {
    ((u64::from(random.next_u32()) * bound as u64) >> 32) as usize
}

/// Returns one of these.
pub fn one_of<T: Copy>(random: &mut ChaCha8Rng, choices: &[T]) -> T {
    choices[below(random, choices.len())]
}

/// Returns a number of any number of bits, so that numbers of all lengths occur.
fn number(random: &mut ChaCha8Rng) -> u64 {
    random.next_u64() >> below(random, 64)
}

fn text(random: &mut ChaCha8Rng) -> String {
    let length = match below(random, 32) {
        0 => below(random, 300),
        _ => below(random, 8),
    };
    (0..length).map(|_| one_of(random, &LETTERS)).collect()
}

/// Returns a random dictionary with rights of these ports.
pub fn dictionary(random: &mut ChaCha8Rng, ports: &Ports) -> Dictionary {
    let mut left = below(random, OBJECTS_MAX);
    entries(random, ports, &mut left, LEVELS_MAX)
}

fn entries(random: &mut ChaCha8Rng, ports: &Ports, left: &mut usize, levels: usize) -> Dictionary {
    let mut dictionary = Dictionary::new();
    while *left > 0 && below(random, 6) > 0 {
        *left -= 1;
        let key = text(random);
        dictionary.set(&key, object(random, ports, left, levels));
    }
    dictionary
}

fn object(random: &mut ChaCha8Rng, ports: &Ports, left: &mut usize, levels: usize) -> Object {
    match below(random, if levels > 1 { 18 } else { 12 }) {
        0 => Object::Null,
        1 => Object::Bool(random.next_u32() & 1 == 1),
        2 => Object::Int64(number(random) as i64 ^ one_of(random, &[0, -1])),
        3 => Object::UInt64(number(random)),
        4 => {
            let any = f64::from_bits(number(random));
            Object::Double(one_of(random, &[0.0, -0.0, 1.5, f64::NAN, f64::MIN, any]))
        }
        5 => Object::Date(number(random) as i64 ^ one_of(random, &[0, -1])),
        6 => Object::Data((0..below(random, 40)).map(|_| random.next_u32() as u8).collect()),
        7 => Object::String(text(random)),
        8 => Object::Uuid(std::array::from_fn(|_| random.next_u32() as u8)),
        9 => Object::Endpoint(Endpoint::new(ports.right(random.next_u32()))),
        10 => Object::MachSend(ports.right(random.next_u32())),
        11 => Object::Error(one_of(random, &XpcError::ALL)),
        12..15 => {
            let mut elements = Vec::new();
            while *left > 0 && below(random, 6) > 0 {
                *left -= 1;
                elements.push(object(random, ports, left, levels - 1));
            }
            Object::Array(elements)
        }
        _ => Object::Dictionary(entries(random, ports, left, levels - 1)),
    }
}
