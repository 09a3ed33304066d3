//! [`Workload`]: live vouchers, and the operations whose cost must not depend on how many there are.

use abi::voucher::{MACH_VOUCHER_ATTR_COPY as COPY, MACH_VOUCHER_ATTR_KEY_ALL as ALL};
use abi::voucher::{MACH_VOUCHER_ATTR_KEY_USER_DATA as USER_DATA, MACH_VOUCHER_ATTR_USER_DATA_STORE as STORE};
use voucher::{
    CallingTask, OutBuffer, Recipe, Recipes, VoucherId, Vouchers, create_voucher, extract_attr_content, release_voucher,
};

const CALLER: CallingTask = CallingTask { task: 1, bank: None };

/// How long each content is, in bytes.
pub const CONTENT: usize = 64;

/// The numbers of contents that no live voucher has.
const FRESH: u64 = 1 << 40;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A voucher with a content that there is nowhere yet is created and released.
    New,
    /// A live voucher is created again and released.
    Duplicate,
    /// All of a live voucher is copied, its content is replaced by a new one, and the voucher is released.
    CopyAndChange,
    /// The content of a live voucher is read.
    Extract,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 4] =
        [Operation::New, Operation::Duplicate, Operation::CopyAndChange, Operation::Extract];
}

/// What an operation works on: a live voucher, and the content to store.
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

/// Scatters numbers (the finaliser of splitmix64).
const fn scatter(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// The content with this number.
pub fn content(number: u64) -> [u8; CONTENT] {
    let mut bytes = [0; CONTENT];
    for (place, word) in bytes.chunks_exact_mut(8).zip(8 * number..) {
        place.copy_from_slice(&scatter(word).to_le_bytes());
    }
    bytes
}

/// A voucher, where one must come out.
pub fn create_one(vouchers: &mut Vouchers, recipes: &[Recipe<'_>]) -> VoucherId {
    let created = create_voucher(vouchers, &CALLER, &mut Recipes::new(recipes)).expect_done();
    created.expect("nothing is wrong with the recipes").expect("the voucher says something")
}

fn release_one(vouchers: &mut Vouchers, voucher: VoucherId) {
    assert!(release_voucher(vouchers, voucher).is_none(), "managers answer at once");
}

impl Workload {
    /// No live vouchers yet; room to remember `most`.
    pub fn new(most: usize) -> Self {
        let vouchers = Vouchers::new(4711, Default::default()).expect("there is memory");
        Workload { vouchers, live: Vec::with_capacity(most), random: 0, fresh: FRESH }
    }

    /// Adds live vouchers until there are so many.
    pub fn grow_to(&mut self, live: usize) {
        for number in self.live.len()..live {
            let content = content(number as u64);
            let voucher = create_one(&mut self.vouchers, &[Recipe::new(USER_DATA, STORE, &content)]);
            self.live.push(voucher);
        }
    }

    /// Subjects for an operation: live vouchers at random.
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

    /// Makes the operation once with each subject. Afterwards there is as much as before.
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
                    let mut room = [0; CONTENT];
                    let mut out = OutBuffer::new(&mut room);
                    let read = extract_attr_content(vouchers, &CALLER, Some(*voucher), USER_DATA, &mut out);
                    assert!(read.is_ok() && room == *content, "the voucher holds its content");
                }
            }
        }
    }

    /// How many vouchers and how many values there are.
    pub fn sizes(&self) -> (usize, usize) {
        (self.vouchers.registry.len(), self.vouchers.user_data.len())
    }
}
