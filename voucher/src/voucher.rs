//! [`Voucher`], and the table that finds equal vouchers (vouchers 1.8).

use crate::key::KEY_COUNT;
use crate::release::{DeadVoucher, Release};
use crate::vector::ValueVector;
use crate::{Error, Key};
use core::hash::{BuildHasher, Hasher};
use core::num::NonZeroU64;
use foldhash::fast::FixedState;
use store::{Chain, Compaction, Id, LinearIndex, NoMemory, Singles, chained};

/// The name of a voucher.
pub type VoucherId = Id<Voucher>;

/// The kernel's name for the port of a voucher. Only the kernel interprets it.
pub type PortBinding = NonZeroU64;

/// A published voucher. Its values never change.
#[derive(Debug)]
pub struct Voucher {
    /// The two parts of the [`ValueVector`], which take less memory when stored apart.
    indexes: [u32; KEY_COUNT],
    slots: u8,
    chain: Chain,
    refs: u32,
    /// True if the port holds one of the references, on behalf of all its send rights (vouchers 1.10).
    port_holds_reference: bool,
    port: Option<PortBinding>,
}

impl Voucher {
    /// Returns the number of references.
    pub const fn refs(&self) -> u32 {
        self.refs
    }

    /// Returns the port of the voucher, if one was bound.
    pub const fn port(&self) -> Option<PortBinding> {
        self.port
    }

    /// Returns true if the port holds one of the references, on behalf of its send rights.
    pub const fn port_holds_reference(&self) -> bool {
        self.port_holds_reference
    }

    /// Returns the indexes into the value tables of all keys.
    #[inline]
    pub(crate) const fn vector(&self) -> ValueVector {
        ValueVector::from_parts(self.indexes, self.slots)
    }

    /// Returns the index into the value table of a key.
    #[inline]
    pub(crate) fn value(&self, key: Key) -> u32 {
        self.indexes[key.slot()]
    }
}

chained!(Voucher: chain);

/// All vouchers, at most one for each vector.
#[derive(Debug)]
pub(crate) struct VoucherTable {
    vouchers: Singles<Voucher>,
    index: LinearIndex<1024>,
    hasher: FixedState,
}

impl VoucherTable {
    pub const fn new(hasher: FixedState) -> Self {
        VoucherTable { vouchers: Singles::new(), index: LinearIndex::new(), hasher }
    }

    #[inline]
    fn hash(&self, indexes: &[u32; KEY_COUNT]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        // Two at a time, but not neighbours: one index has just been written, and a load that spans it and its
        // neighbour would have to wait for the store.
        for (low, high) in indexes[..KEY_COUNT / 2].iter().zip(&indexes[KEY_COUNT / 2..]) {
            hasher.write_u64(u64::from(*high) << 32 | u64::from(*low));
        }
        hasher.finish() as u32
    }

    pub fn len(&self) -> usize {
        self.vouchers.len()
    }

    pub fn set_places(&mut self, places: usize) -> Result<(), NoMemory> {
        self.vouchers.set_places(places)
    }

    pub fn trim(&mut self) -> bool {
        self.index.trim(&mut self.vouchers) || self.vouchers.trim()
    }

    /// Goes on with a round of compaction.
    pub fn compact(&mut self, compaction: &mut Compaction) {
        self.vouchers.compact(compaction, |_, _| {});
    }

    /// Returns the size of the index, in bytes.
    pub fn index_bytes(&self) -> usize {
        self.index.bytes()
    }

    #[inline]
    pub fn get(&self, id: VoucherId) -> Option<&Voucher> {
        self.vouchers.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (VoucherId, &Voucher)> {
        self.vouchers.iter()
    }

    /// Returns the table itself. For printouts.
    pub const fn table(&self) -> &Singles<Voucher> {
        &self.vouchers
    }

    /// Adds a reference to a live voucher.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if the count is at its limit; nothing has changed then.
    #[inline]
    pub fn retain(&mut self, id: VoucherId) -> Result<(), Error> {
        let voucher = &mut self.vouchers[id];
        voucher.refs = voucher.refs.checked_add(1).ok_or(Error::ResourceShortage)?;
        Ok(())
    }

    /// Returns the voucher with this vector and adds a reference to it, or publishes a new voucher with one reference,
    /// which takes over the vector's references to values (vouchers 1.8). The second result is true for a new voucher.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if the heap has no room or the count is at its limit; nothing has changed then.
    #[inline]
    pub fn find_or_publish(&mut self, vector: &ValueVector) -> Result<(VoucherId, bool), Error> {
        let indexes = *vector.indexes();
        let hash = self.hash(&indexes);
        if let Some(index) = self.index.find(&self.vouchers, hash, |voucher| voucher.indexes == indexes) {
            let (id, _) = self.vouchers.at(index).expect("an indexed voucher is alive");
            self.retain(id)?;
            return Ok((id, false));
        }
        self.index.reserve()?;
        self.index.prepare(&mut self.vouchers);
        let slots = vector.slots();
        let id = self.vouchers.insert_with(|id| {
            let chain = self.index.push(id.index(), hash);
            Voucher { indexes, slots, chain, refs: 1, port_holds_reference: false, port: None }
        })?;
        Ok((id, true))
    }

    /// Drops a reference. With the last one, removes the voucher from the table and returns the rest of it.
    #[inline(always)]
    pub fn release(&mut self, id: VoucherId) -> Option<DeadVoucher> {
        let voucher = &mut self.vouchers[id];
        voucher.refs -= 1;
        if voucher.refs > 0 {
            return None;
        }
        assert!(!voucher.port_holds_reference, "I10: a port with send rights holds a reference");
        let dead = DeadVoucher { id, port: voucher.port, values: Release::new(voucher.vector()) };
        self.index.remove(&mut self.vouchers, id.index());
        self.vouchers.discard(id);
        Some(dead)
    }

    /// Binds a port to a voucher, until the voucher dies.
    pub fn bind_port(&mut self, id: VoucherId, port: PortBinding) {
        let voucher = &mut self.vouchers[id];
        assert!(voucher.port.is_none(), "the association of voucher and port never changes");
        voucher.port = Some(port);
    }

    /// Gives the caller's reference to the port. Returns false if the port holds a reference already.
    pub fn give_reference_to_port(&mut self, id: VoucherId) -> bool {
        !core::mem::replace(&mut self.vouchers[id].port_holds_reference, true)
    }

    /// Takes the reference of the port, which the caller must release.
    pub fn take_reference_from_port(&mut self, id: VoucherId) {
        let held = core::mem::replace(&mut self.vouchers[id].port_holds_reference, false);
        assert!(held, "I10: a port with send rights holds a reference");
    }

    /// Sets the number of references of a voucher, for tests of the limit.
    #[cfg(test)]
    pub fn set_refs(&mut self, id: VoucherId, refs: u32) {
        self.vouchers[id].refs = refs;
    }

    /// Asserts I8 and I9 of vouchers 1.13.
    pub fn check(&self) {
        assert_eq!(self.index.len(), self.vouchers.len(), "I9: the index holds the live vouchers");
        for index in self.index.iter(&self.vouchers) {
            let (_, voucher) = self.vouchers.at(index).expect("I9: an indexed voucher is alive");
            assert!(voucher.refs > 0 && !voucher.vector().is_empty(), "I8: a voucher has references and values");
            let hash = voucher.chain.hash();
            assert_eq!(hash, self.hash(&voucher.indexes), "I7: a vector never changes");
            let found = self.index.find(&self.vouchers, hash, |other| other.indexes == voucher.indexes);
            assert_eq!(found, Some(index), "I8: one voucher for each vector");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ValueVector = ValueVector::from_parts([0, 0, 0, 0, 0, 0, 1, 0], 0x40);
    const B: ValueVector = ValueVector::from_parts([0, 0, 0, 0, 0, 0, 0, 1], 0x80);

    fn table() -> VoucherTable {
        VoucherTable::new(FixedState::with_seed(1))
    }

    #[test]
    fn equal_vectors_are_one_voucher_until_it_dies() {
        let mut table = table();
        let (a, new) = table.find_or_publish(&A).unwrap();
        assert!(new);
        assert_eq!(table.find_or_publish(&A), Ok((a, false)));
        assert_ne!(table.find_or_publish(&B).unwrap().0, a);
        assert!(table.release(a).is_none());
        assert_eq!(table.release(a).map(|dead| dead.id), Some(a));
        let (again, new) = table.find_or_publish(&A).unwrap();
        assert!(new && again != a, "a dead voucher is not revived");
        table.check();
    }

    #[test]
    fn a_reference_beyond_the_limit_is_refused() {
        let mut table = table();
        let (a, _) = table.find_or_publish(&A).unwrap();
        table.set_refs(a, u32::MAX);
        assert_eq!(table.find_or_publish(&A), Err(Error::ResourceShortage));
        assert_eq!(table.retain(a), Err(Error::ResourceShortage));
        assert_eq!(table.get(a).unwrap().refs(), u32::MAX);
    }

    #[test]
    fn a_voucher_takes_56_bytes() {
        assert_eq!(size_of::<Voucher>(), 56);
    }
}
