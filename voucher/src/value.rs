//! [`ValueTable`]: the values of one key that are in use, and the protocol of their release (vouchers 1.4 to 1.7).

use crate::Error;
use crate::control::{HandleKind, Registration};
use core::hash::BuildHasher;
use foldhash::fast::FixedState;
use store::{Chain, LinearIndex, NoMemory, Slab, chained, steps};

/// The index of the default value, which means that the attribute is absent.
pub(crate) const DEFAULT_INDEX: u32 = 0;

/// A value in use (the specification's value element).
#[derive(Clone, Copy, Debug)]
pub struct AttributeValue {
    handle: u64,
    made: u64,
    chain: Chain,
    refs: u32,
    state: ValueState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueState {
    /// `refs` and `made` are counted. With `refs` 0 the value is in limbo: the manager has kept it, because another
    /// made reference is on its way.
    Counted,
    /// As [`Counted`](ValueState::Counted), and the manager is being asked to release the value.
    Releasing,
    /// The value is permanent, and not counted.
    Persistent,
}

impl AttributeValue {
    /// Returns the manager's name for the value.
    pub const fn handle(&self) -> u64 {
        self.handle
    }

    /// Returns the number of references: slots of published and forming vouchers that hold the value.
    pub const fn refs(&self) -> u32 {
        self.refs
    }

    /// Returns the number of made references: how often the manager has handed the value out in its present lifetime.
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// Returns true if the value is permanent and not counted.
    pub fn is_persistent(&self) -> bool {
        self.state == ValueState::Persistent
    }

    /// Returns true if the manager is being asked to release the value.
    pub fn is_releasing(&self) -> bool {
        self.state == ValueState::Releasing
    }
}

chained!(AttributeValue: chain);

/// The outcome of a manager's answer to a release request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReleaseOutcome {
    /// The value stays, in use or in limbo.
    Kept,
    /// The value is gone.
    Freed,
    /// The value must be offered again, with this number of made references.
    OfferAgain(u64),
}

/// The values of one key.
#[derive(Debug)]
pub(crate) struct ValueTable {
    values: Slab<AttributeValue, 256>,
    index: LinearIndex<1024>,
    hasher: FixedState,
    handles: HandleKind,
    /// The largest number of values, without the default.
    max: usize,
}

impl ValueTable {
    /// Returns a table with only the default value.
    pub fn new(registration: &Registration, hasher: FixedState) -> Result<Self, NoMemory> {
        let Registration { default, handles, values_max: max, .. } = *registration;
        let mut table = ValueTable { values: Slab::new(), index: LinearIndex::new(), hasher, handles, max };
        table.index.reserve()?;
        let value = Self::fresh(default, ValueState::Persistent, Chain::default());
        let index = table.values.insert(AttributeValue { refs: u32::MAX, made: u64::MAX, ..value })?;
        assert_eq!(index, DEFAULT_INDEX, "the first element is the default");
        let hash = table.hash(default);
        table.index.insert(&mut table.values, index, hash);
        Ok(table)
    }

    #[inline]
    fn fresh(handle: u64, state: ValueState, chain: Chain) -> AttributeValue {
        AttributeValue { handle, made: 1, chain, refs: 1, state }
    }

    #[inline]
    fn hash(&self, handle: u64) -> u32 {
        match self.handles {
            HandleKind::Any => self.hasher.hash_one(handle) as u32,
            HandleKind::Ids => handle as u32,
        }
    }

    /// Returns the index of a handle's value.
    ///
    /// If the handles are ids, manager and table mostly allocate and free in the same order. The index of a value is
    /// then that of its id plus one, for the default value, and the lookup tries that index before it searches.
    #[inline]
    fn find(&self, handle: u64, hash: u32) -> Option<u32> {
        if self.handles == HandleKind::Ids {
            let guess = hash.wrapping_add(1);
            if self.values.get(guess).is_some_and(|value| value.handle == handle) {
                steps::count();
                return Some(guess);
            }
        }
        self.index.find(&self.values, hash, |value| value.handle == handle)
    }

    /// Gives back what the table does not need any more, up to a bound, and returns true if there is more.
    pub(crate) fn trim(&mut self) -> bool {
        self.index.trim(&mut self.values) || self.values.trim()
    }

    /// Returns the number of places: all indexes are below it.
    pub(crate) fn places(&self) -> usize {
        self.values.places()
    }

    /// Returns the number of values, without the default.
    pub fn len(&self) -> usize {
        self.values.len() - 1
    }

    /// Returns the number of values for which memory is allocated.
    pub fn capacity(&self) -> usize {
        self.values.capacity()
    }

    /// Returns the number of pending requests to the manager for a value.
    pub fn promised(&self) -> usize {
        self.values.promised()
    }

    /// Returns the size of the table's memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<AttributeValue>() + self.index.bytes()
    }

    /// Returns the values without the default, by index.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &AttributeValue)> {
        self.values.iter().skip(1)
    }

    /// Returns the value with an index that a slot of a voucher holds.
    #[inline]
    pub fn value(&self, index: u32) -> &AttributeValue {
        &self.values[index]
    }

    /// Keeps room for a value before it is requested from the manager, so that the answer can always be stored. The
    /// promise ends with [`acquire`](ValueTable::acquire) or [`cancel_promise`](ValueTable::cancel_promise).
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if the number of values is at its limit or the heap has no room.
    #[inline]
    pub fn promise(&mut self) -> Result<(), Error> {
        if self.len() + self.promised() >= self.max {
            return Err(Error::ResourceShortage);
        }
        self.index.reserve()?;
        self.values.promise()?;
        Ok(())
    }

    /// Gives up the room of a promise.
    pub fn cancel_promise(&mut self) {
        self.values.cancel_promise();
    }

    /// Acquires a handle for a slot, with the made reference that the manager has handed out, and ends a promise
    /// (vouchers 1.6). Returns the index of the value, and true if the value is new to the table.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if a count is at its limit. Nothing is counted then: the made reference stays with
    /// the caller, which may still have it [counted](ValueTable::count_made).
    #[inline]
    pub fn acquire(&mut self, handle: u64, persist: bool) -> Result<(u32, bool), Error> {
        if handle == self.values[DEFAULT_INDEX].handle {
            self.cancel_promise();
            return Ok((DEFAULT_INDEX, false));
        }
        let hash = self.hash(handle);
        if let Some(index) = self.find(handle, hash) {
            self.cancel_promise();
            let value = &mut self.values[index];
            if value.state != ValueState::Persistent {
                let refs = value.refs.checked_add(1).ok_or(Error::ResourceShortage)?;
                value.made = value.made.checked_add(1).ok_or(Error::ResourceShortage)?;
                value.refs = refs;
            }
            return Ok((index, false));
        }
        let state = if persist { ValueState::Persistent } else { ValueState::Counted };
        self.index.prepare(&mut self.values);
        let mut chain = |number| self.index.push(number, hash);
        let index = self.values.insert_promised(|number| Self::fresh(handle, state, chain(number)));
        Ok((index, true))
    }

    /// Returns the number of made references of a handle's value, or 0 if it is not in use.
    pub fn made_of(&self, handle: u64) -> u64 {
        self.find(handle, self.hash(handle)).map_or(0, |index| self.values[index].made)
    }

    /// Counts a made reference to a value that could not be [acquired](ValueTable::acquire), so that it is offered back
    /// with the others.
    #[cold]
    pub fn count_made(&mut self, handle: u64) {
        let hash = self.hash(handle);
        let index = self.index.find(&self.values, hash, |value| value.handle == handle);
        let value = &mut self.values[index.expect("only a value in use can be at its limit")];
        value.made = value.made.saturating_add(1);
    }

    /// Adds a reference to a value that a slot holds already.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if the count is at its limit; nothing is counted then.
    #[inline]
    pub fn reference(&mut self, index: u32) -> Result<(), Error> {
        let value = &mut self.values[index];
        if value.state != ValueState::Persistent {
            assert!(value.refs > 0, "a value is copied from a voucher that holds it");
            value.refs = value.refs.checked_add(1).ok_or(Error::ResourceShortage)?;
        }
        Ok(())
    }

    /// Drops the reference of a slot to a value. If the manager must be asked to release the value, returns the number
    /// of made references to offer (vouchers 1.7, steps 1 to 5).
    #[inline]
    pub fn drop_reference(&mut self, index: u32) -> Option<u64> {
        let value = &mut self.values[index];
        if value.state == ValueState::Persistent {
            return None;
        }
        value.refs = value.refs.checked_sub(1).expect("a slot holds the value");
        if value.refs > 0 || value.state == ValueState::Releasing {
            // If the manager is being asked already, `finish_release` will see that the count is 0 again.
            return None;
        }
        value.state = ValueState::Releasing;
        Some(value.made)
    }

    /// Drops the reference of a slot to a value if other references are left, so that no release is needed. Returns
    /// true if it did.
    #[inline]
    pub fn drop_if_shared(&mut self, index: u32) -> bool {
        let value = &mut self.values[index];
        if value.state == ValueState::Persistent {
            return true;
        }
        if value.refs > 1 {
            value.refs -= 1;
            return true;
        }
        false
    }

    /// Processes the manager's answer to the offer of `sync` made references (vouchers 1.7, step 6).
    #[inline]
    pub fn finish_release(&mut self, index: u32, sync: u64, accepted: bool) -> ReleaseOutcome {
        let value = &mut self.values[index];
        assert!(value.state == ValueState::Releasing, "the manager was asked");
        let revived = value.made != sync;
        if accepted && revived {
            // The manager has released the old value and has since handed out the same handle for a new one.
            value.made -= sync;
        }
        match (revived, value.refs) {
            (true, 0) => ReleaseOutcome::OfferAgain(value.made),
            (false, 0) if accepted => {
                self.index.remove(&mut self.values, index);
                self.values.remove(index);
                ReleaseOutcome::Freed
            }
            (true, _) | (false, 0) => {
                value.state = ValueState::Counted;
                ReleaseOutcome::Kept
            }
            (false, _) => panic!("references rise from 0 only together with made references"),
        }
    }

    /// Sets the number of references to a value, for tests of the limit.
    #[cfg(test)]
    pub fn set_refs(&mut self, index: u32, refs: u32) {
        self.values[index].refs = refs;
    }

    /// Asserts I2 to I4 of vouchers 1.13 for this table.
    pub fn check(&self) {
        assert_eq!(self.index.len(), self.values.len(), "I3: every value is on a chain");
        for index in self.index.iter(&self.values) {
            let value = &self.values[index];
            let hash = value.chain.hash();
            let found = self.index.find(&self.values, hash, |other| other.handle == value.handle);
            assert_eq!(found, Some(index), "I4: handles are unique");
            assert_eq!(self.find(value.handle, hash), found, "I2: a value is found by its handle");
            assert_eq!(value.chain.hash(), self.hash(value.handle), "I2: a value is on the chain of its handle");
            assert!(value.made >= 1, "I2: a value has a made reference");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> ValueTable {
        table_with(Registration::default())
    }

    fn table_with(registration: Registration) -> ValueTable {
        ValueTable::new(&registration, FixedState::with_seed(1)).unwrap()
    }

    /// Acquires a handle as if the manager had handed it out.
    fn acquire(table: &mut ValueTable, handle: u64) -> u32 {
        table.promise().unwrap();
        let index = table.acquire(handle, false).unwrap().0;
        table.check();
        index
    }

    /// Returns references, made references, and true if the value is being released.
    fn counts(table: &ValueTable, index: u32) -> (u32, u64, bool) {
        let value = table.value(index);
        (value.refs(), value.made(), value.is_releasing())
    }

    #[test]
    fn a_handle_has_one_value_until_the_manager_releases_it() {
        let mut table = table();
        let index = acquire(&mut table, 5);
        assert_eq!((acquire(&mut table, 5), counts(&table, index)), (index, (2, 2, false)));
        table.reference(index).unwrap();
        assert_eq!(
            (table.drop_reference(index), table.drop_if_shared(index), table.drop_if_shared(index)),
            (None, true, false)
        );
        assert_eq!(table.drop_reference(index), Some(2));
        assert_eq!((table.finish_release(index, 2, true), table.len()), (ReleaseOutcome::Freed, 0));
        table.check();
    }

    #[test]
    fn an_id_finds_its_value_even_if_the_allocation_order_differs() {
        let mut table = table_with(Registration { handles: HandleKind::Ids, ..Registration::default() });
        let id = |generation: u64, index: u64| generation << 32 | index;
        let guessed = acquire(&mut table, id(1, 0));
        let searched = acquire(&mut table, id(1, 5));
        assert_eq!((guessed, searched), (1, 2));
        // The manager has released the first value and reuses its index before the answer arrives.
        assert_eq!(table.drop_reference(guessed), Some(1));
        let next = acquire(&mut table, id(2, 0));
        for (handle, index) in [(id(1, 0), guessed), (id(1, 5), searched), (id(2, 0), next)] {
            assert_eq!(table.find(handle, table.hash(handle)), Some(index));
        }
        assert_eq!(table.finish_release(guessed, 1, true), ReleaseOutcome::Freed);
        assert_eq!((table.find(id(1, 0), 0), table.find(id(2, 0), 0)), (None, Some(next)));
        table.check();
    }

    #[test]
    fn the_default_handle_is_the_default_value() {
        let mut table = table_with(Registration { default: 0xd0, ..Registration::default() });
        assert_eq!((acquire(&mut table, 0xd0), table.len(), table.promised()), (DEFAULT_INDEX, 0, 0));
        assert_ne!(acquire(&mut table, 0), DEFAULT_INDEX);
        assert_eq!(table.drop_reference(DEFAULT_INDEX), None);
    }

    #[test]
    fn a_value_acquired_during_its_release_is_kept() {
        for (accepted, made) in [(true, 1), (false, 2)] {
            let mut table = table();
            let index = acquire(&mut table, 5);
            assert_eq!(table.drop_reference(index), Some(1));
            assert_eq!(acquire(&mut table, 5), index);
            assert_eq!(table.finish_release(index, 1, accepted), ReleaseOutcome::Kept);
            assert_eq!(counts(&table, index), (1, made, false));
        }
    }

    #[test]
    fn a_value_acquired_and_dropped_during_its_release_is_offered_again() {
        for (accepted, sync) in [(true, 1), (false, 2)] {
            let mut table = table();
            let index = acquire(&mut table, 5);
            assert_eq!(table.drop_reference(index), Some(1));
            acquire(&mut table, 5);
            assert_eq!(table.drop_reference(index), None, "one release at a time");
            assert_eq!(table.finish_release(index, 1, accepted), ReleaseOutcome::OfferAgain(sync));
            assert_eq!(table.finish_release(index, sync, true), ReleaseOutcome::Freed);
        }
    }

    #[test]
    fn a_value_that_the_manager_keeps_is_in_limbo_until_it_is_acquired_again() {
        let mut table = table();
        let index = acquire(&mut table, 5);
        assert_eq!(table.drop_reference(index), Some(1));
        assert_eq!(table.finish_release(index, 1, false), ReleaseOutcome::Kept);
        assert_eq!(counts(&table, index), (0, 1, false));
        assert_eq!((acquire(&mut table, 5), counts(&table, index)), (index, (1, 2, false)));
        assert_eq!(table.drop_reference(index), Some(2));
    }

    #[test]
    fn a_persistent_value_is_not_counted() {
        let mut table = table();
        table.promise().unwrap();
        let (index, new) = table.acquire(5, true).unwrap();
        assert!(new && table.value(index).is_persistent());
        acquire(&mut table, 5);
        table.reference(index).unwrap();
        assert_eq!(counts(&table, index), (1, 1, false));
        assert_eq!((table.drop_reference(index), table.drop_if_shared(index)), (None, true));
        assert_eq!(counts(&table, index), (1, 1, false));
    }

    #[test]
    fn a_full_table_promises_nothing() {
        let mut table = table_with(Registration { values_max: 2, ..Registration::default() });
        let index = acquire(&mut table, 5);
        table.promise().unwrap();
        assert_eq!(table.promise(), Err(Error::ResourceShortage));
        table.cancel_promise();
        acquire(&mut table, 6);
        assert_eq!(table.promise(), Err(Error::ResourceShortage));
        assert_eq!(table.drop_reference(index), Some(1));
        table.finish_release(index, 1, true);
        acquire(&mut table, 7);
    }

    #[test]
    fn counts_at_their_limit_are_an_error_that_loses_no_made_reference() {
        let mut table = table();
        let index = acquire(&mut table, 5);
        table.values[index].refs = u32::MAX;
        assert_eq!(table.reference(index), Err(Error::ResourceShortage));
        table.promise().unwrap();
        assert_eq!(table.acquire(5, false), Err(Error::ResourceShortage));
        assert_eq!((counts(&table, index), table.promised()), ((u32::MAX, 1, false), 0));
        table.count_made(5);
        assert_eq!(counts(&table, index), (u32::MAX, 2, false));
        (table.values[index].refs, table.values[index].made) = (1, u64::MAX);
        table.promise().unwrap();
        assert_eq!(table.acquire(5, false), Err(Error::ResourceShortage));
        assert_eq!((counts(&table, index), table.promised()), ((1, u64::MAX, false), 0));
    }
}
