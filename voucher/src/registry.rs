//! [`Registry`]: all vouchers and the values they hold.

use crate::control::{Control, Registration};
use crate::key::KEYS;
use crate::release::DeadVoucher;
use crate::value::{DEFAULT, ValueTable};
use crate::vector::Vector;
use crate::voucher::{PortBinding, Voucher, VoucherId, VoucherTable};
use crate::{Error, Key};
use foldhash::fast::FixedState;

/// All vouchers, and for each registered key its values. It never calls a manager: what has to be asked is a value that
/// the [driver](crate::Driver) takes from a [`Creation`](crate::Creation) or a [`Release`](crate::Release), and anything
/// else may happen before the answer.
#[derive(Debug)]
pub struct Registry {
    pub(crate) vouchers: VoucherTable,
    pub(crate) controls: [Option<Control>; KEYS],
    seed: u64,
    /// One bit for each slot whose control has gone and whose manager was not told yet.
    unregistered: u8,
}

impl Registry {
    /// A registry without vouchers and managers. `seed` should be hard to guess: it decides which values and vouchers
    /// share a hash bucket. Allocates nothing.
    pub fn new(seed: u64) -> Self {
        let vouchers = VoucherTable::new(FixedState::with_seed(seed));
        Registry { vouchers, controls: [const { None }; KEYS], seed, unregistered: 0 }
    }

    /// Registers a manager for a key: `ipc_register_well_known_mach_voucher_attr_manager` (vouchers 4.9). The caller has
    /// a reference to the control, which it may [give up](crate::release_control).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the number is no key, or has a manager; [`Error::ResourceShortage`]. Nothing has
    /// changed then.
    pub fn register(&mut self, number: u32, registration: Registration) -> Result<Key, Error> {
        let key = Key::new(number).ok_or(Error::InvalidArgument)?;
        if self.controls[key.slot()].is_some() {
            return Err(Error::InvalidArgument);
        }
        let table = ValueTable::new(&registration, FixedState::with_seed(self.seed))?;
        let processing = registration.processing;
        self.controls[key.slot()] = Some(Control { refs: 1, processing, table });
        Ok(key)
    }

    /// A key's control, if a manager is registered.
    pub fn control(&self, key: Key) -> Option<&Control> {
        self.controls[key.slot()].as_ref()
    }

    /// One more reference to a control, if there is one.
    pub fn retain_control(&mut self, key: Key) -> Option<u64> {
        let control = self.controls[key.slot()].as_mut()?;
        control.refs += 1;
        Some(control.refs)
    }

    /// One reference less to a control that there is; returns how many are left. When the last one goes, the key is free
    /// again, and [`take_unregistered`](Registry::take_unregistered) says so.
    pub(crate) fn release_control(&mut self, key: Key) -> u64 {
        self.drop_control_reference(key.slot())
    }

    #[inline]
    pub(crate) fn drop_control_reference(&mut self, slot: usize) -> u64 {
        let control = self.controls[slot].as_mut().expect("a referenced control is registered");
        control.refs -= 1;
        let left = control.refs;
        if left == 0 {
            self.unregister(slot);
        }
        left
    }

    #[cold]
    fn unregister(&mut self, slot: usize) {
        let control = self.controls[slot].take();
        assert!(control.is_some_and(|control| control.table.len() == 0), "each value in use has a reference");
        self.unregistered |= 1 << slot;
    }

    /// A key whose control has gone since the last call, for its manager to be told.
    #[inline]
    pub(crate) fn take_unregistered(&mut self) -> Option<Key> {
        let slot = self.unregistered.trailing_zeros() as usize;
        self.unregistered &= self.unregistered.wrapping_sub(1);
        (slot < KEYS).then(|| Key::of_slot(slot))
    }

    /// The values of a key that has a manager.
    #[inline]
    pub(crate) fn table(&mut self, slot: usize) -> &mut ValueTable {
        &mut self.controls[slot].as_mut().expect("a slot with a value has a control").table
    }

    /// Gives up references to values that a voucher holds as well, so that no manager has to be asked.
    #[inline]
    pub(crate) fn drop_duplicate(&mut self, vector: &Vector) {
        let mut left = *vector;
        while let Some(slot) = left.first() {
            let offer = self.table(slot).drop_reference(left.get(slot));
            assert!(offer.is_none(), "another voucher holds the value");
            left.clear_first();
        }
    }

    /// The handle of a value element; `None` for the default.
    #[inline]
    pub(crate) fn handle_at(&self, slot: usize, index: u32) -> Option<u64> {
        if index == DEFAULT {
            return None;
        }
        let control = self.controls[slot].as_ref().expect("a slot with a value has a control");
        Some(control.table.value(index).handle())
    }

    /// The voucher, if it lives.
    #[inline]
    pub fn get(&self, id: VoucherId) -> Option<&Voucher> {
        self.vouchers.get(id)
    }

    /// How many vouchers live.
    pub fn len(&self) -> usize {
        self.vouchers.len()
    }

    /// Whether there are no vouchers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All vouchers. For checks and printouts.
    pub fn iter(&self) -> impl Iterator<Item = (VoucherId, &Voucher)> {
        self.vouchers.iter()
    }

    /// Bytes of memory that the table of vouchers has beside the vouchers themselves.
    pub fn index_bytes(&self) -> usize {
        self.vouchers.index_bytes()
    }

    /// The handle that a living voucher holds for a key; `None` if the attribute is absent.
    #[inline]
    pub fn handle(&self, id: VoucherId, key: Key) -> Option<u64> {
        let index = self.get(id)?.value(key);
        self.handle_at(key.slot(), index)
    }

    /// The keys for which a living voucher has values, ascending, with their handles.
    pub fn attributes(&self, id: VoucherId) -> impl Iterator<Item = (Key, u64)> {
        Key::all().filter_map(move |key| self.handle(id, key).map(|handle| (key, handle)))
    }

    /// `mach_voucher_attr_control_get_values` inside the kernel (vouchers 4.8): the handle for the control's key, if
    /// there is `room` and the attribute is present.
    ///
    /// # Errors
    /// [`Error::InvalidCapability`] without a control, then [`Error::InvalidArgument`] without a voucher.
    pub fn control_get_values(
        &self,
        control: Option<Key>,
        voucher: Option<VoucherId>,
        room: usize,
    ) -> Result<Option<u64>, Error> {
        let key = control.filter(|&key| self.control(key).is_some()).ok_or(Error::InvalidCapability)?;
        let voucher = voucher.ok_or(Error::InvalidArgument)?;
        Ok(if room == 0 { None } else { self.handle(voucher, key) })
    }

    /// One more reference to a living voucher.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if there are too many; nothing has changed.
    #[inline]
    pub fn retain(&mut self, id: VoucherId) -> Result<(), Error> {
        self.vouchers.retain(id)
    }

    /// One reference less to a living voucher. With the last one it dies (vouchers 1.11): from now on nothing finds it,
    /// and the caller gives up what is returned.
    #[inline(always)]
    #[must_use]
    pub fn release(&mut self, id: VoucherId) -> Option<DeadVoucher> {
        self.vouchers.release(id)
    }

    /// Binds a port to a living voucher that has none, for as long as it lives.
    ///
    /// # Panics
    /// If it has one: the association never changes.
    pub fn bind_port(&mut self, id: VoucherId, port: PortBinding) {
        self.vouchers.bind_port(id, port);
    }

    /// The caller's reference becomes a send right: all send rights of a port together own one reference, so it is
    /// theirs if they have none, and released otherwise (vouchers 1.10).
    pub fn reference_to_send_right(&mut self, id: VoucherId) {
        if !self.vouchers.give_port_one(id) {
            let dead = self.vouchers.release(id);
            assert!(dead.is_none(), "the port's reference is left");
        }
    }

    /// The port has no send rights any more: its reference goes (vouchers 1.10).
    ///
    /// # Panics
    /// If there were none.
    #[must_use]
    pub fn no_senders(&mut self, id: VoucherId) -> Option<DeadVoucher> {
        self.vouchers.take_from_port(id);
        self.release(id)
    }

    /// Asserts the invariants of vouchers 1.13 that concern the registry. `quiet`: no creation or release is under way,
    /// so that the counts must match exactly.
    pub fn check(&self, quiet: bool) {
        self.vouchers.check();
        for key in Key::all() {
            let Some(control) = self.control(key) else {
                assert!(self.iter().all(|(_, voucher)| voucher.value(key) == DEFAULT), "{key:?} has no manager");
                continue;
            };
            control.table.check();
            let questions = control.table.promised() as u64;
            assert!(control.refs >= control.table.len() as u64 + questions, "{key:?}: each value has a reference");
        }
        self.check_references(quiet);
    }

    /// I1, I6: each value is referenced by those that hold it.
    fn check_references(&self, quiet: bool) {
        for key in Key::all() {
            let Some(control) = self.control(key) else { continue };
            let mut holders = alloc::vec![0u32; control.capacity()];
            self.iter().for_each(|(_, voucher)| holders[voucher.value(key) as usize] += 1);
            for (index, value) in control.values() {
                let (refs, holders) = (value.refs(), holders[index as usize]);
                if value.is_persistent() {
                    assert_eq!((refs, value.made()), (1, 1), "a persistent value is not counted");
                } else if quiet {
                    assert_eq!(refs, holders, "I1: {key:?}, value {:#x}", value.handle());
                    assert!(!value.is_releasing(), "I6: {key:?}, value {:#x}", value.handle());
                } else {
                    assert!(refs >= holders, "I1: {key:?}, value {:#x}", value.handle());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::*;
    use abi::voucher::*;

    const STORE: u32 = MACH_VOUCHER_ATTR_USER_DATA_STORE;
    const ALL: u32 = MACH_VOUCHER_ATTR_KEY_ALL;

    fn create(vouchers: &mut Vouchers, recipes: &[Recipe<'_>]) -> Result<Option<VoucherId>, Error> {
        crate::create(vouchers, &Caller::KERNEL, &mut Recipes::new(recipes)).done()
    }

    /// A system with a voucher that says something under the keys 7 and 8.
    fn world() -> (Vouchers, VoucherId) {
        let mut vouchers = Vouchers::new(1, Default::default()).unwrap();
        let recipes = [Recipe::new(7, STORE, b"a"), Recipe::new(8, STORE, b"b")];
        let voucher = create(&mut vouchers, &recipes).unwrap().unwrap();
        (vouchers, voucher)
    }

    fn counts(vouchers: &Vouchers, key: Key) -> Vec<(u32, u64)> {
        vouchers.registry.control(key).unwrap().values().map(|(_, value)| (value.refs(), value.made())).collect()
    }

    /// The voucher goes, and nothing is left: so the counts of registry and managers were the same.
    fn end(mut vouchers: Vouchers, voucher: VoucherId) {
        vouchers.registry.check(true);
        assert!(release(&mut vouchers, voucher).is_none());
        assert!(vouchers.registry.is_empty() && vouchers.user_data.is_empty() && vouchers.test.is_empty());
        assert!(Key::all().all(|key| vouchers.registry.control(key).is_none_or(|control| control.refs() == 1)));
    }

    #[test]
    fn v12_a_value_that_is_held_too_often_refuses_another_holder_and_nothing_leaks() {
        let (_, voucher) = world();
        let refused = [
            (Key::USER_DATA, [Recipe::new(8, STORE, b"c"), Recipe::from(voucher, 7, MACH_VOUCHER_ATTR_COPY)]),
            (Key::TEST, [Recipe::new(7, STORE, b"c"), Recipe::from(voucher, ALL, MACH_VOUCHER_ATTR_COPY)]),
            (Key::USER_DATA, [Recipe::new(8, STORE, b"c"), Recipe::new(7, STORE, b"a")]),
            (Key::TEST, [Recipe::new(7, STORE, b"c"), Recipe::from(voucher, 8, MACH_VOUCHER_ATTR_REDEEM)]),
        ];
        for (key, recipes) in refused {
            let (mut vouchers, voucher) = world();
            let index = vouchers.registry.get(voucher).unwrap().value(key);
            vouchers.registry.table(key.slot()).set_refs(index, u32::MAX);
            assert_eq!(create(&mut vouchers, &recipes), Err(Error::ResourceShortage), "{recipes:?}");
            assert_eq!(counts(&vouchers, key)[0].0, u32::MAX, "{recipes:?}");
            vouchers.registry.table(key.slot()).set_refs(index, 1);
            end(vouchers, voucher);
        }
    }

    #[test]
    fn v12_a_handle_that_cannot_be_put_in_stays_with_its_owner() {
        let (mut vouchers, voucher) = world();
        let index = vouchers.registry.get(voucher).unwrap().value(Key::USER_DATA);
        let handle = vouchers.registry.handle(voucher, Key::USER_DATA).unwrap().to_le_bytes();
        let recipes = [Recipe::new(7, MACH_VOUCHER_ATTR_SET_VALUE_HANDLE, &handle)];
        vouchers.registry.table(Key::USER_DATA.slot()).set_refs(index, u32::MAX);
        let mut source = Recipes::new(&recipes);
        let result = create_through(&mut vouchers, &Caller::KERNEL, Some(Key::USER_DATA), &mut source).done();
        assert_eq!((result, counts(&vouchers, Key::USER_DATA)), (Err(Error::ResourceShortage), vec![(u32::MAX, 1)]));
        vouchers.registry.table(Key::USER_DATA.slot()).set_refs(index, 1);
        end(vouchers, voucher);
    }

    #[test]
    fn v12_a_voucher_that_is_held_too_often_is_neither_found_nor_taken_as_the_previous_one() {
        let (mut vouchers, voucher) = world();
        vouchers.registry.vouchers.set_refs(voucher, u32::MAX);
        let found = [Recipe::from(voucher, ALL, MACH_VOUCHER_ATTR_COPY)];
        let previous = [Recipe::new(8, STORE, b"c"), Recipe::from(voucher, 7, MACH_VOUCHER_ATTR_REDEEM)];
        for recipes in [&found[..], &previous] {
            assert_eq!(create(&mut vouchers, recipes), Err(Error::ResourceShortage));
            let both = [Key::USER_DATA, Key::TEST].map(|key| counts(&vouchers, key));
            assert_eq!(both, [[(1, 1)], [(1, 1)]]);
        }
        vouchers.registry.vouchers.set_refs(voucher, 1);
        end(vouchers, voucher);
    }
}
