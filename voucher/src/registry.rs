//! [`Registry`]: all vouchers and their values.

use crate::control::{AttributeControl, Registration};
use crate::key::KEY_COUNT;
use crate::release::DeadVoucher;
use crate::value::{DEFAULT_INDEX, ValueTable};
use crate::vector::ValueVector;
use crate::voucher::{PortBinding, Voucher, VoucherId, VoucherTable};
use crate::{Error, Key};
use foldhash::fast::FixedState;
use store::{Compaction, NoMemory, Singles};

/// All vouchers, and the values of each registered key. The registry never calls a manager: the [driver](crate::Driver)
/// takes each request from a [`Creation`](crate::Creation) or a [`Release`](crate::Release), and may make other calls
/// before it passes the answer back.
#[derive(Debug)]
pub struct Registry {
    pub(crate) vouchers: VoucherTable,
    pub(crate) controls: [Option<AttributeControl>; KEY_COUNT],
    seed: u64,
    /// The slots whose control is gone and was not reported yet, one bit each.
    unregistered: u8,
}

impl Registry {
    /// Returns a registry without vouchers and managers. `seed` should be hard to guess: it decides which values and
    /// vouchers share a hash bucket. Allocates nothing.
    pub fn new(seed: u64) -> Self {
        let vouchers = VoucherTable::new(FixedState::with_seed(seed));
        Registry { vouchers, controls: [const { None }; KEY_COUNT], seed, unregistered: 0 }
    }

    /// Registers a manager for a key: `ipc_register_well_known_mach_voucher_attr_manager` (vouchers 4.9). The caller
    /// gets a reference to the control, which it may [release](crate::release_control).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the number is not a key or the key has a manager; [`Error::ResourceShortage`] if
    /// the heap has no room. The registry is unchanged then.
    pub fn register(&mut self, number: u32, registration: Registration) -> Result<Key, Error> {
        let key = Key::new(number).ok_or(Error::InvalidArgument)?;
        if self.controls[key.slot()].is_some() {
            return Err(Error::InvalidArgument);
        }
        let table = ValueTable::new(&registration, FixedState::with_seed(self.seed))?;
        let processing = registration.processing;
        self.controls[key.slot()] = Some(AttributeControl { refs: 1, processing, table });
        Ok(key)
    }

    /// Returns the control of a key, or `None` if no manager is registered.
    pub fn control(&self, key: Key) -> Option<&AttributeControl> {
        self.controls[key.slot()].as_ref()
    }

    /// Adds a reference to a control and returns the number of references, or returns `None` without a control.
    pub fn retain_control(&mut self, key: Key) -> Option<u64> {
        let control = self.controls[key.slot()].as_mut()?;
        control.refs += 1;
        Some(control.refs)
    }

    /// Drops a reference to a control, which must exist, and returns the number of references left. With the last one
    /// the key becomes free, and [`take_unregistered`](Registry::take_unregistered) reports it.
    pub(crate) fn release_control(&mut self, key: Key) -> u64 {
        self.drop_control_reference(key.slot())
    }

    /// As [`release_control`](Registry::release_control), by slot.
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

    /// Returns a key whose control is gone, once, so that the driver can tell its manager.
    #[inline]
    pub(crate) fn take_unregistered(&mut self) -> Option<Key> {
        let slot = self.unregistered.trailing_zeros() as usize;
        self.unregistered &= self.unregistered.wrapping_sub(1);
        (slot < KEY_COUNT).then(|| Key::of_slot(slot))
    }

    /// Returns the values of a slot whose key has a manager.
    #[inline]
    pub(crate) fn table(&mut self, slot: usize) -> &mut ValueTable {
        &mut self.controls[slot].as_mut().expect("a slot with a value has a control").table
    }

    /// Drops the references of a vector to values that a voucher holds as well, so that no release is requested.
    #[inline]
    pub(crate) fn drop_duplicate(&mut self, vector: &ValueVector) {
        let mut left = *vector;
        while let Some(slot) = left.first() {
            let offer = self.table(slot).drop_reference(left.get(slot));
            assert!(offer.is_none(), "the voucher holds the value");
            left.clear_first();
        }
    }

    /// Returns the handle of a value, or `None` for the default.
    #[inline]
    pub(crate) fn handle_at(&self, slot: usize, index: u32) -> Option<u64> {
        if index == DEFAULT_INDEX {
            return None;
        }
        let control = self.controls[slot].as_ref().expect("a slot with a value has a control");
        Some(control.table.value(index).handle())
    }

    /// Returns the voucher, or `None` if it is dead.
    #[inline]
    pub fn get(&self, id: VoucherId) -> Option<&Voucher> {
        self.vouchers.get(id)
    }

    /// Makes room for the addresses of so many vouchers, which is never given back. Until there are more, growth of the
    /// table moves nothing.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out; nothing has changed.
    pub fn set_places(&mut self, vouchers: usize) -> Result<(), NoMemory> {
        self.vouchers.set_places(vouchers)
    }

    /// Gives back what the tables do not need any more, up to a bound, and returns true if there is more.
    pub fn trim(&mut self) -> bool {
        self.vouchers.trim() || self.controls.iter_mut().flatten().any(|control| control.table.trim())
    }

    /// Goes on with a round of compaction.
    pub fn compact(&mut self, compaction: &mut Compaction) {
        self.vouchers.compact(compaction);
    }

    /// Returns the number of live vouchers.
    pub fn len(&self) -> usize {
        self.vouchers.len()
    }

    /// Returns true if there are no vouchers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns all vouchers. For checks and printouts.
    pub fn iter(&self) -> impl Iterator<Item = (VoucherId, &Voucher)> {
        self.vouchers.iter()
    }

    /// Returns the table of vouchers. For printouts.
    pub const fn voucher_table(&self) -> &Singles<Voucher> {
        self.vouchers.table()
    }

    /// Returns the size of the voucher table's index, in bytes.
    pub fn index_bytes(&self) -> usize {
        self.vouchers.index_bytes()
    }

    /// Returns the handle that a live voucher holds for a key, or `None` if the attribute is absent.
    #[inline]
    pub fn handle(&self, id: VoucherId, key: Key) -> Option<u64> {
        let index = self.get(id)?.value(key);
        self.handle_at(key.slot(), index)
    }

    /// Returns the attributes of a live voucher in ascending order: each key with its handle.
    pub fn attributes(&self, id: VoucherId) -> impl Iterator<Item = (Key, u64)> {
        Key::all().filter_map(move |key| self.handle(id, key).map(|handle| (key, handle)))
    }

    /// Returns the number of made references to a value that the registry has, or 0 if no voucher holds it.
    pub(crate) fn made(&self, key: Key, handle: u64) -> u64 {
        self.control(key).map_or(0, |control| control.table.made_of(handle))
    }

    /// Returns the handle that a voucher holds for a control's key: `mach_voucher_attr_control_get_values` inside the
    /// kernel (vouchers 4.8). `room` is the number of handles that the caller accepts; with 0 the result is `None`.
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

    /// Adds a reference to a live voucher.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if the count is at its limit; nothing has changed then.
    #[inline]
    pub fn retain(&mut self, id: VoucherId) -> Result<(), Error> {
        self.vouchers.retain(id)
    }

    /// Drops a reference to a live voucher. With the last one the voucher dies (vouchers 1.11): its id refers to
    /// nothing from now on, and the caller must [destroy](crate::destroy_voucher) the rest that is returned.
    #[inline(always)]
    #[must_use]
    pub fn release(&mut self, id: VoucherId) -> Option<DeadVoucher> {
        self.vouchers.release(id)
    }

    /// Binds a port to a live voucher that has none, until the voucher dies.
    ///
    /// # Panics
    /// If the voucher has a port: the association never changes.
    pub fn bind_port(&mut self, id: VoucherId, port: PortBinding) {
        self.vouchers.bind_port(id, port);
    }

    /// Turns a reference of the caller into a send right. All send rights of a port share one reference: the caller's
    /// reference becomes that one if there is none yet, and is released otherwise (vouchers 1.10).
    pub fn reference_to_send_right(&mut self, id: VoucherId) {
        if !self.vouchers.give_reference_to_port(id) {
            let dead = self.vouchers.release(id);
            assert!(dead.is_none(), "the port still holds a reference");
        }
    }

    /// Releases the reference of the port, which has lost its last send right (vouchers 1.10).
    ///
    /// # Panics
    /// If the port holds no reference.
    #[must_use]
    pub fn no_senders(&mut self, id: VoucherId) -> Option<DeadVoucher> {
        self.vouchers.take_reference_from_port(id);
        self.release(id)
    }

    /// Asserts the invariants of vouchers 1.13 that concern the registry. With `quiet`, no creation or release is in
    /// progress, so that all counts must be exact.
    pub fn check(&self, quiet: bool) {
        self.vouchers.check();
        for key in Key::all() {
            let Some(control) = self.control(key) else {
                assert!(self.iter().all(|(_, voucher)| voucher.value(key) == DEFAULT_INDEX), "{key:?} has no manager");
                continue;
            };
            control.table.check();
            let requests = control.table.promised() as u64;
            assert!(control.refs >= control.table.len() as u64 + requests, "{key:?}: each value has a reference");
        }
        self.check_references(quiet);
    }

    /// Asserts I1 and I6: the references of each value are its holders.
    fn check_references(&self, quiet: bool) {
        for key in Key::all() {
            let Some(control) = self.control(key) else { continue };
            let mut holders = alloc::vec![0u32; control.places()];
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
        create_voucher(vouchers, &CallingTask::KERNEL, &mut Recipes::new(recipes)).expect_done()
    }

    /// Returns a system with a voucher that has values of the keys 7 and 8.
    fn system() -> (Vouchers, VoucherId) {
        let mut vouchers = Vouchers::new(1, Default::default()).unwrap();
        let recipes = [Recipe::new(7, STORE, b"a"), Recipe::new(8, STORE, b"b")];
        let voucher = create(&mut vouchers, &recipes).unwrap().unwrap();
        (vouchers, voucher)
    }

    /// Returns the references and made references of a key's values.
    fn counts(vouchers: &Vouchers, key: Key) -> Vec<(u32, u64)> {
        vouchers.registry.control(key).unwrap().values().map(|(_, value)| (value.refs(), value.made())).collect()
    }

    /// Releases the voucher and asserts that nothing is left, which shows that registry and managers counted the same.
    fn end(mut vouchers: Vouchers, voucher: VoucherId) {
        vouchers.registry.check(true);
        assert!(release_voucher(&mut vouchers, voucher).is_none());
        assert!(vouchers.registry.is_empty() && vouchers.user_data.is_empty() && vouchers.test.is_empty());
        assert!(Key::all().all(|key| vouchers.registry.control(key).is_none_or(|control| control.refs() == 1)));
    }

    #[test]
    fn v12_a_value_at_its_limit_refuses_another_reference_and_nothing_leaks() {
        let (_, voucher) = system();
        let refused = [
            (Key::USER_DATA, [Recipe::new(8, STORE, b"c"), Recipe::from(voucher, 7, MACH_VOUCHER_ATTR_COPY)]),
            (Key::TEST, [Recipe::new(7, STORE, b"c"), Recipe::from(voucher, ALL, MACH_VOUCHER_ATTR_COPY)]),
            (Key::USER_DATA, [Recipe::new(8, STORE, b"c"), Recipe::new(7, STORE, b"a")]),
            (Key::TEST, [Recipe::new(7, STORE, b"c"), Recipe::from(voucher, 8, MACH_VOUCHER_ATTR_REDEEM)]),
        ];
        for (key, recipes) in refused {
            let (mut vouchers, voucher) = system();
            let index = vouchers.registry.get(voucher).unwrap().value(key);
            vouchers.registry.table(key.slot()).set_refs(index, u32::MAX);
            assert_eq!(create(&mut vouchers, &recipes), Err(Error::ResourceShortage), "{recipes:?}");
            assert_eq!(counts(&vouchers, key)[0].0, u32::MAX, "{recipes:?}");
            vouchers.registry.table(key.slot()).set_refs(index, 1);
            end(vouchers, voucher);
        }
    }

    #[test]
    fn v12_a_handle_that_cannot_be_stored_stays_with_its_owner() {
        let (mut vouchers, voucher) = system();
        let index = vouchers.registry.get(voucher).unwrap().value(Key::USER_DATA);
        let handle = vouchers.registry.handle(voucher, Key::USER_DATA).unwrap().to_le_bytes();
        let recipes = [Recipe::new(7, MACH_VOUCHER_ATTR_SET_VALUE_HANDLE, &handle)];
        vouchers.registry.table(Key::USER_DATA.slot()).set_refs(index, u32::MAX);
        let mut source = Recipes::new(&recipes);
        let result =
            create_voucher_with_control(&mut vouchers, &CallingTask::KERNEL, Some(Key::USER_DATA), &mut source)
                .expect_done();
        assert_eq!((result, counts(&vouchers, Key::USER_DATA)), (Err(Error::ResourceShortage), vec![(u32::MAX, 1)]));
        vouchers.registry.table(Key::USER_DATA.slot()).set_refs(index, 1);
        end(vouchers, voucher);
    }

    #[test]
    fn v12_a_voucher_at_its_limit_is_neither_found_nor_used_as_previous_voucher() {
        let (mut vouchers, voucher) = system();
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
