//! [`Workload`]: live vouchers, and operations whose cost must not depend on their number.

use abi::voucher::{MACH_VOUCHER_ATTR_COPY as COPY, MACH_VOUCHER_ATTR_KEY_ALL as ALL};
use abi::voucher::{MACH_VOUCHER_ATTR_KEY_USER_DATA as USER_DATA, MACH_VOUCHER_ATTR_USER_DATA_STORE as STORE};
use voucher::{
    CallingTask, OutBuffer, Recipe, Recipes, VoucherId, Vouchers, create_voucher, extract_attr_content, release_voucher,
};

const CALLER: CallingTask = CallingTask { task: 1, ..CallingTask::KERNEL };

/// The length of each content in bytes.
pub const CONTENT: usize = 64;

/// The first number of the contents that no live voucher has.
const FRESH: u64 = 1 << 40;

/// A measured operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Creates and releases a voucher with new content.
    New,
    /// Creates a live voucher again, and releases it.
    Duplicate,
    /// Copies all attributes of a live voucher, replaces the content by new content, and releases the new voucher.
    CopyAndChange,
    /// Extracts the content of a live voucher.
    Extract,
}

impl Operation {
    /// All operations.
    pub const ALL: [Operation; 4] =
        [Operation::New, Operation::Duplicate, Operation::CopyAndChange, Operation::Extract];
}

/// The subject of an operation: a live voucher, and the content to store.
pub struct Subject {
    voucher: VoucherId,
    content: [u8; CONTENT],
}

/// Live vouchers, each with a value of its own.
pub struct Workload {
    vouchers: Vouchers,
    live: Vec<VoucherId>,
    random: u64,
    fresh: u64,
}

/// Returns a pseudo-random function of a number (the finaliser of splitmix64).
const fn scatter(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// Returns the content with this number.
pub fn content(number: u64) -> [u8; CONTENT] {
    let mut bytes = [0; CONTENT];
    for (place, word) in bytes.chunks_exact_mut(8).zip(8 * number..) {
        place.copy_from_slice(&scatter(word).to_le_bytes());
    }
    bytes
}

/// Creates a voucher that must exist afterwards.
pub fn create_one(vouchers: &mut Vouchers, recipes: &[Recipe<'_>]) -> VoucherId {
    let created = create_voucher(vouchers, &CALLER, &mut Recipes::new(recipes)).expect_done();
    created.expect("the recipes are valid").expect("an attribute is present")
}

/// Releases a voucher of managers that answer at once.
fn release_one(vouchers: &mut Vouchers, voucher: VoucherId) {
    assert!(release_voucher(vouchers, voucher).is_none(), "every manager answers at once");
}

impl Workload {
    /// Returns a workload without live vouchers, with room for `most`.
    pub fn new(most: usize) -> Self {
        let vouchers = Vouchers::new(4711, Default::default()).expect("there is memory");
        Workload { vouchers, live: Vec::with_capacity(most), random: 0, fresh: FRESH }
    }

    /// Adds live vouchers until their number is `live`.
    pub fn grow_to(&mut self, live: usize) {
        for number in self.live.len()..live {
            let content = content(number as u64);
            let voucher = create_one(&mut self.vouchers, &[Recipe::new(USER_DATA, STORE, &content)]);
            self.live.push(voucher);
        }
    }

    /// Returns subjects for an operation, with random live vouchers.
    pub fn subjects(&mut self, operation: Operation, count: usize) -> Vec<Subject> {
        let subject = |_| {
            self.random += 1;
            let number = scatter(self.random) % self.live.len() as u64;
            let stored = match operation {
                Operation::Duplicate | Operation::Extract => number,
                Operation::New | Operation::CopyAndChange => {
                    self.fresh += 1;
                    self.fresh
                }
            };
            Subject { voucher: self.live[number as usize], content: content(stored) }
        };
        (0..count).map(subject).collect()
    }

    /// Runs the operation once on each subject. The number of live vouchers is the same afterwards.
    pub fn run(&mut self, operation: Operation, subjects: &[Subject]) {
        let vouchers = &mut self.vouchers;
        match operation {
            Operation::New | Operation::Duplicate => {
                for Subject { content, .. } in subjects {
                    let created = create_one(vouchers, &[Recipe::new(USER_DATA, STORE, content)]);
                    release_one(vouchers, created);
                }
            }
            Operation::CopyAndChange => {
                for Subject { voucher, content } in subjects {
                    let copy = Recipe::from(*voucher, ALL, COPY);
                    let created = create_one(vouchers, &[copy, Recipe::new(USER_DATA, STORE, content)]);
                    release_one(vouchers, created);
                }
            }
            Operation::Extract => {
                for Subject { voucher, content } in subjects {
                    let mut bytes = [0; CONTENT];
                    let mut out = OutBuffer::new(&mut bytes);
                    let read = extract_attr_content(vouchers, &CALLER, Some(*voucher), USER_DATA, &mut out);
                    assert!(read.is_ok() && bytes == *content, "the voucher holds its content");
                }
            }
        }
    }

    /// Returns the numbers of vouchers and values.
    pub fn sizes(&self) -> (usize, usize) {
        (self.vouchers.registry.len(), self.vouchers.user_data.len())
    }
}
