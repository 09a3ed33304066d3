//! What a player knows about its rights.

use super::random::Random;
use crate::sys::trap;
use abi::PortName;
use abi::port::{MACH_PORT_DEAD, MACH_PORT_NULL, PortType};
use abi::trap::mach::MACH_PORT_TYPE;
use heapless::Vec;

/// Names that a player remembers. It forgets one at random for each further one.
const KNOWN: usize = 48;

/// Vouchers that a player remembers.
const VOUCHERS: usize = 8;

/// The names that a player has met, with the types of their rights when it last looked.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The task's control port. The player may give up this name, and asks for it again.
    pub(super) own: PortName,
    known: Vec<(PortName, PortType), KNOWN>,
    vouchers: Vec<PortName, VOUCHERS>,
}

impl Names {
    /// Returns the type of a name's rights: none if there is no such name.
    fn type_of(&self, name: PortName) -> PortType {
        let mut word = 0u32;
        trap(MACH_PORT_TYPE, [self.own.0.into(), name.0.into(), (&raw mut word) as u64, 0, 0, 0]);
        PortType::from_bits_retain(word)
    }

    /// Remembers the name of a voucher.
    pub(super) fn learn_voucher(&mut self, name: PortName, random: &mut Random) {
        self.learn(name, random);
        if let Err(name) = self.vouchers.push(name) {
            self.vouchers[random.below(VOUCHERS as u64) as usize] = name;
        }
    }

    /// Returns the name of a voucher, or null, and rarely another name.
    pub(super) fn voucher(&self, random: &mut Random) -> PortName {
        match &self.vouchers[..] {
            _ if random.one_in(12) => self.pick(PortType::all(), random),
            [] => MACH_PORT_NULL,
            vouchers => random.pick(vouchers),
        }
    }

    /// Remembers a name.
    pub(super) fn learn(&mut self, name: PortName, random: &mut Random) {
        if !name.is_valid() || self.known.iter().any(|known| known.0 == name) {
            return;
        }
        let entry = (name, self.type_of(name));
        if let Err(entry) = self.known.push(entry) {
            self.known[random.below(KNOWN as u64) as usize] = entry;
        }
    }

    /// Looks at one of the names again, and forgets it if it is gone.
    pub(super) fn look(&mut self, random: &mut Random) {
        if self.known.is_empty() {
            return;
        }
        let at = random.below(self.known.len() as u64) as usize;
        self.known[at].1 = self.type_of(self.known[at].0);
        if self.known[at].1.is_empty() {
            self.known.swap_remove(at);
        }
    }

    /// Returns a name that had one of these types when it was last looked at, null if there is none, and rarely any
    /// number at all.
    pub(super) fn pick(&self, types: PortType, random: &mut Random) -> PortName {
        match random.below(40) {
            0 => MACH_PORT_NULL,
            1 => MACH_PORT_DEAD,
            2 => PortName(random.below(64) as u32 * 0x100 + 3 + 4 * random.below(4) as u32),
            3 => PortName(random.next() as u32),
            _ => self.one_of(types, random).map_or(MACH_PORT_NULL, |(name, _)| name),
        }
    }

    /// Returns a name that had one of these types, with its type.
    pub(super) fn one_of(&self, types: PortType, random: &mut Random) -> Option<(PortName, PortType)> {
        let fits = |entry: &&(PortName, PortType)| entry.1.intersects(types);
        let count = self.known.iter().filter(fits).count();
        let wanted = random.below(count.max(1) as u64) as usize;
        self.known.iter().filter(fits).nth(wanted).copied()
    }
}
