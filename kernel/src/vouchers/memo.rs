//! The vouchers that receivers got with recent messages (vouchers 11, idea 1).
//!
//! The voucher that a receiver gets is a function of the voucher that was sent, of the sender, of the receiver and of
//! whether the message is tied to importance: no attribute of these ever changes, and equal vouchers are one. So it need
//! not be made again if it is still there. It also depends on the personas of the system, which are set late: then
//! everything is forgotten.
//!
//! The memory is weak: it has ids, and no references. A voucher dies when its last holder gives it up, whatever is
//! remembered, so that its bill is settled and its boost ends then. What is remembered of it finds nothing any more.

use crate::ipc::direct::attached::{Case, Delivery};
use store::Id;

/// The number of places, a power of two.
const PLACES: usize = 64;

/// The personas of the system and of its proxies.
type SystemPersonas = (u32, u32);

/// Recent cases, and the vouchers that receivers got in them. Each case has one place, from which it displaces another.
#[derive(Debug)]
pub struct Memo {
    places: [Option<(Case, Delivery)>; PLACES],
    /// The personas that decided.
    personas: SystemPersonas,
}

impl Default for Memo {
    fn default() -> Self {
        Memo { places: [None; PLACES], personas: SystemPersonas::default() }
    }
}

/// Returns the place of a case.
#[inline(always)]
fn place(case: &Case) -> usize {
    let voucher = case.origin.voucher.map_or(0, Id::index);
    let mix = voucher ^ case.origin.space.index().wrapping_mul(5) ^ case.receiver.index().wrapping_mul(17);
    (mix as usize * 2 + usize::from(case.tied)) % PLACES
}

impl Memo {
    /// Returns what was delivered in a case, if the personas of the system are those of then.
    #[inline(always)]
    pub fn get(&mut self, personas: SystemPersonas, case: &Case) -> Option<&mut Delivery> {
        match &mut self.places[place(case)] {
            Some((remembered, delivery)) if remembered == case && self.personas == personas => Some(delivery),
            _ => None,
        }
    }

    /// Remembers what was delivered in a case.
    pub fn set(&mut self, personas: SystemPersonas, case: Case, delivery: Delivery) {
        if self.personas != personas {
            *self = Memo { personas, ..Memo::default() };
        }
        self.places[place(&case)] = Some((case, delivery));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PortId, SpaceId};
    use crate::ipc::direct::attached::Origin;
    use abi::port::MACH_PORT_NULL;

    fn port(number: u32) -> PortId {
        Id::from_bits(1 << 32 | u64::from(number)).unwrap()
    }

    fn case(voucher: Option<u32>, receiver: u32, tied: bool) -> Case {
        let space = |number| SpaceId::from_bits(1 << 32 | u64::from(number)).unwrap();
        Case { origin: Origin { space: space(1), voucher: voucher.map(port) }, receiver: space(receiver), tied }
    }

    fn delivery(number: u32) -> Delivery {
        Delivery { port: port(number), inherit: None, qos: 0, name: MACH_PORT_NULL }
    }

    fn got(memo: &mut Memo, personas: SystemPersonas, case: Case) -> Option<PortId> {
        memo.get(personas, &case).map(|delivery| delivery.port)
    }

    #[test]
    fn a_case_finds_its_own_delivery_until_another_takes_its_place() {
        let mut memo = Memo::default();
        let cases = [case(None, 2, false), case(None, 2, true), case(Some(0), 2, false), case(Some(7), 3, true)];
        for (number, case) in (0..).zip(cases) {
            assert_eq!(got(&mut memo, (1, 2), case), None);
            memo.set((1, 2), case, delivery(number));
            assert_eq!(got(&mut memo, (1, 2), case), Some(port(number)));
        }
        // Without a voucher a case has the place of the voucher with index 0.
        let left = cases.map(|case| got(&mut memo, (1, 2), case));
        assert_eq!(left, [None, Some(port(1)), Some(port(2)), Some(port(3))]);
    }

    #[test]
    fn other_personas_of_the_system_make_it_forget() {
        let mut memo = Memo::default();
        let (first, second) = (case(None, 2, false), case(None, 3, false));
        memo.set((1, 2), first, delivery(1));
        assert_eq!(got(&mut memo, (1, 3), first), None);
        memo.set((1, 3), second, delivery(2));
        assert_eq!([first, second].map(|case| got(&mut memo, (1, 3), case)), [None, Some(port(2))]);
        assert_eq!([first, second].map(|case| got(&mut memo, (1, 2), case)), [None, None]);
    }
}
