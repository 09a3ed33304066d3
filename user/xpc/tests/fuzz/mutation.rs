//! Inputs: messages of random objects, changed at random.

use crate::property::Ports;
use crate::random::{self, below, one_of};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;
use xpc::wire::encode;

/// Inputs from which the next ones are made.
const POOL: usize = 256;
/// Bytes of an input that is made of others.
const BYTES_MAX: usize = 2_048;
/// Descriptors of an input.
const DESCRIPTORS_MAX: usize = 24;
/// After so many inputs, a new message joins the pool. Far fewer changed inputs do, which would become ever smaller.
const FRESH: u64 = 20;
/// One of so many changed inputs that are messages again is kept.
const KEPT: usize = 64;
/// Inputs with an outcome that has occurred so few times are kept.
const RARE: u64 = 50;
/// The first bytes of items of all kinds, with numbers of all lengths.
const HEADS: [u8; 32] = [
    0x00, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x20, 0x3B, 0x40, 0x50, 0x58, 0x5B, 0x60, 0x61, 0x78, 0x7F, 0x80, 0x81, 0x98,
    0x9B, 0x9F, 0xA0, 0xA1, 0xB8, 0xBB, 0xD8, 0xD9, 0xF4, 0xF6, 0xF9, 0xFB, 0xFF,
];
/// The heads of tags that there are, and of some that there are not.
const TAGS: [[u8; 3]; 7] = [
    [0xD8, 37, 0x50],
    [0xD9, 0x9C, 0x41],
    [0xD9, 0x9C, 0x42],
    [0xD9, 0x9C, 0x43],
    [0xD9, 0x9C, 0x44],
    [0xD9, 0x9C, 0x45],
    [0xD9, 0x9C, 0x46],
];

/// A body, and for each descriptor whether it is a send right.
#[derive(Clone)]
pub struct Input {
    pub body: Vec<u8>,
    pub sends: Vec<bool>,
}

impl Input {
    /// Returns the message of a random dictionary.
    fn fresh(random: &mut ChaCha8Rng) -> Input {
        let mut body = Vec::new();
        let dictionary = random::dictionary(random, &Ports::default());
        let rights = encode(&dictionary, &mut body).expect("few levels").len();
        Input { body, sends: vec![true; rights] }
    }

    /// Returns messages in which many objects take few bytes, and containers claim what others claim, too.
    fn greedy() -> [Input; 5] {
        let message = |root: &[u8]| {
            let mut body = [&[1, 0, 0, 0, 0, 0, 0, 0], root].concat();
            body.resize(body.len().next_multiple_of(4), 0);
            Input { body, sends: Vec::new() }
        };
        let nulls = [&b"\xA1\x60\x99\xFF\xF0"[..], &vec![0xF6; 0xFFF0]].concat();
        let empty = [&b"\xA1\x60\x99\xFF\xF0"[..], &vec![0xA0; 0xFFF0]].concat();
        let letters: Vec<u8> = (b'\0'..=0x7F).flat_map(|key| [0x61, key, 0xF6]).collect();
        let entries = [&b"\xA1\x60\x99\x01\xF4"[..], &[b"\xB8\x80", &letters[..]].concat().repeat(500)].concat();
        let claims: Vec<u8> =
            (1..=600_u16).rev().flat_map(|left| [&[0x99], &left.to_be_bytes()[..]].concat()).collect();
        let deep = [&b"\xA1\x60".repeat(31)[..], &[0x81, 0xF6]].concat();
        [
            message(&nulls),
            message(&empty),
            message(&entries),
            message(&[&b"\xA1\x60"[..], &claims].concat()),
            message(&deep),
        ]
    }

    /// Changes the input in one way.
    fn mutate(&mut self, other: &Input, random: &mut ChaCha8Rng) {
        let length = self.body.len();
        // The prefix is changed seldom: behind a wrong one nothing is read.
        let first = if length > 9 && below(random, 64) > 0 { 8 } else { 0 };
        let at = first + below(random, length - first + 1);
        let until = (at + below(random, 12)).min(length);
        match below(random, 14) {
            0..4 if at < length => self.body[at] = one_of(random, &HEADS),
            4 if at < length => self.body[at] ^= 1 << below(random, 8),
            5 if at < length => self.body[at] = self.body[at].wrapping_add(one_of(random, &[1, 255])),
            6 => drop(self.body.drain(at..until)),
            7 => drop(self.body.splice(at..at, self.body[at..until].to_vec())),
            8 => drop(self.body.splice(at..until, one_of(random, &TAGS))),
            9 => drop(self.body.splice(at..at, random.next_u64().to_be_bytes().into_iter().take(1 + until - at))),
            10 => self.body.truncate(at),
            11 => {
                let from = below(random, other.body.len() + 1);
                let to = (from + below(random, 64)).min(other.body.len());
                drop(self.body.splice(at..until, other.body[from..to].iter().copied()));
            }
            12 => drop(self.body.splice(at..at, vec![one_of(random, &[0x81, 0xF6, 0xFF, 0]); below(random, 40)])),
            _ => self.mutate_descriptors(random),
        }
        self.body.truncate(BYTES_MAX);
        // Without this, most inputs would be refused for their size.
        if below(random, 64) > 0 {
            self.body.resize(self.body.len().next_multiple_of(4), 0);
        }
    }

    fn mutate_descriptors(&mut self, random: &mut ChaCha8Rng) {
        let at = below(random, self.sends.len() + 1);
        match below(random, 3) {
            0 if at < self.sends.len() => self.sends[at] = !self.sends[at],
            1 if at < self.sends.len() => drop(self.sends.remove(at)),
            _ if self.sends.len() < DESCRIPTORS_MAX => self.sends.insert(at, true),
            _ => {}
        }
    }
}

/// Inputs from which the next ones are made.
pub struct Pool {
    inputs: Vec<Input>,
    greedy: std::array::IntoIter<Input, 5>,
}

impl Pool {
    pub fn new(random: &mut ChaCha8Rng) -> Pool {
        Pool { inputs: (0..POOL).map(|_| Input::fresh(random)).collect(), greedy: Input::greedy().into_iter() }
    }

    /// Returns an input: the greedy ones first, then a new message now and then, mostly changed ones.
    pub fn next(&mut self, count: u64, random: &mut ChaCha8Rng) -> Input {
        if let Some(greedy) = self.greedy.next() {
            return greedy;
        }
        let slot = below(random, POOL);
        if count.is_multiple_of(FRESH) {
            self.inputs[slot] = Input::fresh(random);
        }
        let mut input = self.inputs[slot].clone();
        for _ in 0..=below(random, 4) {
            input.mutate(&self.inputs[below(random, POOL)], random);
        }
        input
    }

    /// Keeps an input in place of another one if it is a message, or if its outcome is rare.
    pub fn keep(&mut self, input: Input, is_message: bool, times: u64, random: &mut ChaCha8Rng) {
        let is_small = input.body.len() <= BYTES_MAX;
        if is_small && (times <= RARE || is_message && below(random, KEPT) == 0) {
            self.inputs[below(random, POOL)] = input;
        }
    }
}
