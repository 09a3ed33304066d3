//! [`ValueTable`]: the values of one key that are in use, and how they are given back to their manager
//! (vouchers 1.4 to 1.7).

use crate::Error;
use crate::control::{Handles, Registration};
use core::hash::BuildHasher;
use foldhash::fast::FixedState;
use store::{Chain, LinearIndex, NoMemory, Slab, chained, steps};

/// The index of the default value: the attribute is absent.
pub(crate) const DEFAULT: u32 = 0;

/// One value in use: a value element.
#[derive(Clone, Copy, Debug)]
pub struct AttributeValue {
    handle: u64,
    made: u64,
    chain: Chain,
    refs: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// `refs` and `made` count. With `refs` 0 the element is in limbo: its manager has kept it because it is about to be
    /// used again.
    Counted,
    /// As [`Counted`](State::Counted), and the manager is being asked whether it may go.
    Releasing,
    /// Nothing counts, and it stays for ever.
    Persistent,
}

impl AttributeValue {
    /// What the manager calls the value.
    pub const fn handle(&self) -> u64 {
        self.handle
    }

    /// How many slots of vouchers, finished and forming, hold the value.
    pub const fn refs(&self) -> u32 {
        self.refs
    }

    /// How often the manager has handed the value out in this lifetime of the element.
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// Whether the value is never counted and never given back.
    pub fn is_persistent(&self) -> bool {
        self.state == State::Persistent
    }

    /// Whether the manager is being asked to take it back.
    pub fn is_releasing(&self) -> bool {
        self.state == State::Releasing
    }
}

chained!(AttributeValue: chain);

/// What came of a manager's answer to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// The element stays, in use or in limbo.
    Stays,
    /// The element is gone.
    Freed,
    /// Ask again with this many made references.
    Again(u64),
}

/// The values of one key.
#[derive(Debug)]
pub(crate) struct ValueTable {
    values: Slab<AttributeValue, 256>,
    index: LinearIndex<1024>,
    hasher: FixedState,
    handles: Handles,
    /// How many values there may be beside the default.
    max: usize,
}

impl ValueTable {
    /// A table with the default value alone.
    pub fn new(registration: &Registration, hasher: FixedState) -> Result<Self, NoMemory> {
        let Registration { default, handles, values_max: max, .. } = *registration;
        let mut table = ValueTable { values: Slab::new(), index: LinearIndex::new(), hasher, handles, max };
        table.index.reserve()?;
        let value = Self::fresh(default, State::Persistent, Chain::default());
        let index = table.values.insert(AttributeValue { refs: u32::MAX, made: u64::MAX, ..value })?;
        assert_eq!(index, DEFAULT, "the first element is the default");
        let hash = table.hash(default);
        table.index.insert(&mut table.values, index, hash);
        Ok(table)
    }

    #[inline]
    fn fresh(handle: u64, state: State, chain: Chain) -> AttributeValue {
        AttributeValue { handle, made: 1, chain, refs: 1, state }
    }

    #[inline]
    fn hash(&self, handle: u64) -> u32 {
        match self.handles {
            Handles::Any => self.hasher.hash_one(handle) as u32,
            Handles::Ids => handle as u32,
        }
    }

    /// The element of a handle.
    ///
    /// Ids and elements are mostly made and freed together, so that the element's index is the id's plus one, for the
    /// default. This is where to look first; where others came in between, the index knows better.
    #[inline]
    fn find(&self, handle: u64, hash: u32) -> Option<u32> {
        if self.handles == Handles::Ids {
            let beside = hash.wrapping_add(1);
            if self.values.get(beside).is_some_and(|value| value.handle == handle) {
                steps::count();
                return Some(beside);
            }
        }
        self.index.find(&self.values, hash, |value| value.handle == handle)
    }

    /// How many values there are beside the default.
    pub fn len(&self) -> usize {
        self.values.len() - 1
    }

    /// How many elements there is memory for.
    pub fn capacity(&self) -> usize {
        self.values.capacity()
    }

    /// How many answers of the manager are awaited.
    pub fn promised(&self) -> usize {
        self.values.promised()
    }

    /// Bytes of memory in use for the table.
    pub fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<AttributeValue>() + self.index.bytes()
    }

    /// The elements beside the default, by index.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &AttributeValue)> {
        self.values.iter().skip(1)
    }

    /// The element that a slot of a voucher holds.
    #[inline]
    pub fn value(&self, index: u32) -> &AttributeValue {
        &self.values[index]
    }

    /// Keeps room for the value that the manager is going to be asked for, so that its answer can always be taken. Ends
    /// with [`acquire`](ValueTable::acquire) or [`cancel_promise`](ValueTable::cancel_promise).
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] at the ceiling or without memory.
    #[inline]
    pub fn promise(&mut self) -> Result<(), Error> {
        if self.len() + self.promised() >= self.max {
            return Err(Error::ResourceShortage);
        }
        self.index.reserve()?;
        self.values.promise()?;
        Ok(())
    }

    /// Ends a promise: there is no value.
    pub fn cancel_promise(&mut self) {
        self.values.cancel_promise();
    }

    /// Takes a handle that the manager has handed out with one made reference, for a slot, and ends a promise
    /// (vouchers 1.6). Returns the element's index and whether the element is new.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if the element is held by too many slots. Nothing is counted then: whoever has the made
    /// reference keeps it, or has it [counted](ValueTable::count_made) all the same.
    #[inline]
    pub fn acquire(&mut self, handle: u64, persist: bool) -> Result<(u32, bool), Error> {
        if handle == self.values[DEFAULT].handle {
            self.cancel_promise();
            return Ok((DEFAULT, false));
        }
        let hash = self.hash(handle);
        if let Some(index) = self.find(handle, hash) {
            self.cancel_promise();
            let value = &mut self.values[index];
            if value.state != State::Persistent {
                let refs = value.refs.checked_add(1).ok_or(Error::ResourceShortage)?;
                value.made = value.made.checked_add(1).ok_or(Error::ResourceShortage)?;
                value.refs = refs;
            }
            return Ok((index, false));
        }
        let state = if persist { State::Persistent } else { State::Counted };
        self.index.prepare(&mut self.values);
        let mut chain = |number| self.index.push(number, hash);
        let index = self.values.insert_promised(|number| Self::fresh(handle, state, chain(number)));
        Ok((index, true))
    }

    /// Counts a made reference to an element that could not be [acquired](ValueTable::acquire), so that it is given back
    /// with the others.
    #[cold]
    pub fn count_made(&mut self, handle: u64) {
        let hash = self.hash(handle);
        let index = self.index.find(&self.values, hash, |value| value.handle == handle);
        let value = &mut self.values[index.expect("only an element that is there can be held too often")];
        value.made = value.made.saturating_add(1);
    }

    /// Another slot holds an element that is held already.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if too many do; nothing is counted.
    #[inline]
    pub fn reference(&mut self, index: u32) -> Result<(), Error> {
        let value = &mut self.values[index];
        if value.state != State::Persistent {
            assert!(value.refs > 0, "a value is copied from a voucher that holds it");
            value.refs = value.refs.checked_add(1).ok_or(Error::ResourceShortage)?;
        }
        Ok(())
    }

    /// A slot does not hold an element any more. If the manager has to be asked whether the element may go, returns the
    /// number of made references to offer it (vouchers 1.7, steps 1 to 5).
    #[inline]
    pub fn drop_reference(&mut self, index: u32) -> Option<u64> {
        let value = &mut self.values[index];
        if value.state == State::Persistent {
            return None;
        }
        value.refs = value.refs.checked_sub(1).expect("a slot holds the value");
        if value.refs > 0 || value.state == State::Releasing {
            // Whoever is asking the manager will see that the count is 0 again.
            return None;
        }
        value.state = State::Releasing;
        Some(value.made)
    }

    /// A slot does not hold an element any more, if others do: then no manager has to be asked. Returns whether it is so.
    #[inline]
    pub fn drop_shared(&mut self, index: u32) -> bool {
        let value = &mut self.values[index];
        if value.state == State::Persistent {
            return true;
        }
        if value.refs > 1 {
            value.refs -= 1;
            return true;
        }
        false
    }

    /// The manager has answered the offer of `sync` made references (vouchers 1.7, step 6).
    #[inline]
    pub fn released(&mut self, index: u32, sync: u64, accepted: bool) -> Released {
        let value = &mut self.values[index];
        assert!(value.state == State::Releasing, "the manager was asked");
        let revived = value.made != sync;
        if accepted && revived {
            // A new lifetime of the same handle began after the manager had let the old one go.
            value.made -= sync;
        }
        match (revived, value.refs) {
            (true, 0) => Released::Again(value.made),
            (true, _) => {
                value.state = State::Counted;
                Released::Stays
            }
            (false, 0) if accepted => {
                self.index.remove(&mut self.values, index);
                self.values.remove(index);
                Released::Freed
            }
            (false, 0) => {
                value.state = State::Counted;
                Released::Stays
            }
            (false, _) => panic!("references rise from 0 only together with made references"),
        }
    }

    /// Sets how many slots hold an element, for tests of what happens at the limit.
    #[cfg(test)]
    pub fn set_refs(&mut self, index: u32, refs: u32) {
        self.values[index].refs = refs;
    }

    /// Asserts I2 to I4 of vouchers 1.13 for this table.
    pub fn check(&self) {
        assert_eq!(self.index.len(), self.values.len(), "I3: every element is on a chain");
        for index in self.index.iter(&self.values) {
            let value = &self.values[index];
            let hash = value.chain.hash();
            let found = self.index.find(&self.values, hash, |other| other.handle == value.handle);
            assert_eq!(found, Some(index), "I4: no two elements have equal handles");
            assert_eq!(self.find(value.handle, hash), found, "I2: and it is found");
            assert_eq!(value.chain.hash(), self.hash(value.handle), "I2: it is on the chain of its handle");
            assert!(value.made >= 1, "I2: an element was handed out");
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

    fn get(table: &mut ValueTable, handle: u64) -> u32 {
        table.promise().unwrap();
        let index = table.acquire(handle, false).unwrap().0;
        table.check();
        index
    }

    fn counts(table: &ValueTable, index: u32) -> (u32, u64, bool) {
        let value = table.value(index);
        (value.refs(), value.made(), value.is_releasing())
    }

    #[test]
    fn a_handle_has_one_element_that_goes_when_the_manager_takes_it_back() {
        let mut table = table();
        let index = get(&mut table, 5);
        assert_eq!((get(&mut table, 5), counts(&table, index)), (index, (2, 2, false)));
        table.reference(index).unwrap();
        assert_eq!(
            (table.drop_reference(index), table.drop_shared(index), table.drop_shared(index)),
            (None, true, false)
        );
        assert_eq!(table.drop_reference(index), Some(2));
        assert_eq!((table.released(index, 2, true), table.len()), (Released::Freed, 0));
        table.check();
    }

    #[test]
    fn an_id_leads_to_its_element_even_where_others_came_in_between() {
        let mut table = table_with(Registration { handles: Handles::Ids, ..Registration::default() });
        let id = |generation: u64, place: u64| generation << 32 | place;
        let beside = get(&mut table, id(1, 0));
        let elsewhere = get(&mut table, id(1, 5));
        assert_eq!((beside, elsewhere), (1, 2));
        // The manager has given up the first, and uses its place again before its answer is here.
        assert_eq!(table.drop_reference(beside), Some(1));
        let next = get(&mut table, id(2, 0));
        for (handle, index) in [(id(1, 0), beside), (id(1, 5), elsewhere), (id(2, 0), next)] {
            assert_eq!(table.find(handle, table.hash(handle)), Some(index));
        }
        assert_eq!(table.released(beside, 1, true), Released::Freed);
        assert_eq!((table.find(id(1, 0), 0), table.find(id(2, 0), 0)), (None, Some(next)));
        table.check();
    }

    #[test]
    fn the_default_handle_is_the_default_value() {
        let mut table = table_with(Registration { default: 0xd0, ..Registration::default() });
        assert_eq!((get(&mut table, 0xd0), table.len(), table.promised()), (DEFAULT, 0, 0));
        assert_ne!(get(&mut table, 0), DEFAULT);
        assert_eq!(table.drop_reference(DEFAULT), None);
    }

    #[test]
    fn a_value_that_was_revived_while_the_manager_was_asked_lives_on() {
        for (accepted, made) in [(true, 1), (false, 2)] {
            let mut table = table();
            let index = get(&mut table, 5);
            assert_eq!(table.drop_reference(index), Some(1));
            assert_eq!(get(&mut table, 5), index);
            assert_eq!(table.released(index, 1, accepted), Released::Stays);
            assert_eq!(counts(&table, index), (1, made, false));
        }
    }

    #[test]
    fn a_value_that_came_and_went_while_the_manager_was_asked_is_offered_again() {
        for (accepted, sync) in [(true, 1), (false, 2)] {
            let mut table = table();
            let index = get(&mut table, 5);
            assert_eq!(table.drop_reference(index), Some(1));
            get(&mut table, 5);
            assert_eq!(table.drop_reference(index), None, "only one asks");
            assert_eq!(table.released(index, 1, accepted), Released::Again(sync));
            assert_eq!(table.released(index, sync, true), Released::Freed);
        }
    }

    #[test]
    fn a_value_that_the_manager_keeps_is_in_limbo_until_it_is_handed_out_again() {
        let mut table = table();
        let index = get(&mut table, 5);
        assert_eq!(table.drop_reference(index), Some(1));
        assert_eq!(table.released(index, 1, false), Released::Stays);
        assert_eq!(counts(&table, index), (0, 1, false));
        assert_eq!((get(&mut table, 5), counts(&table, index)), (index, (1, 2, false)));
        assert_eq!(table.drop_reference(index), Some(2));
    }

    #[test]
    fn a_persistent_value_is_not_counted() {
        let mut table = table();
        table.promise().unwrap();
        let (index, new) = table.acquire(5, true).unwrap();
        assert!(new && table.value(index).is_persistent());
        get(&mut table, 5);
        table.reference(index).unwrap();
        assert_eq!(counts(&table, index), (1, 1, false));
        assert_eq!((table.drop_reference(index), table.drop_shared(index)), (None, true));
        assert_eq!(counts(&table, index), (1, 1, false));
    }

    #[test]
    fn at_the_ceiling_nothing_is_promised() {
        let mut table = table_with(Registration { values_max: 2, ..Registration::default() });
        let index = get(&mut table, 5);
        table.promise().unwrap();
        assert_eq!(table.promise(), Err(Error::ResourceShortage));
        table.cancel_promise();
        get(&mut table, 6);
        assert_eq!(table.promise(), Err(Error::ResourceShortage));
        assert_eq!(table.drop_reference(index), Some(1));
        table.released(index, 1, true);
        get(&mut table, 7);
    }

    #[test]
    fn counts_at_their_limit_are_an_error_and_lose_no_made_reference() {
        let mut table = table();
        let index = get(&mut table, 5);
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
