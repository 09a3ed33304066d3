//! [`Voucher`]: the objects themselves, and how equal ones are found (vouchers 1.8).

use crate::key::KEYS;
use crate::release::{DeadVoucher, Release};
use crate::vector::Vector;
use crate::{Error, Key};
use core::hash::{BuildHasher, Hasher};
use core::num::NonZeroU64;
use foldhash::fast::FixedState;
use store::{Arena, Chain, Id, LinearIndex, chained};

/// Names a voucher.
pub type VoucherId = Id<Voucher>;

/// The kernel's name for the port that stands for a voucher. Its meaning is the kernel's own affair.
pub type PortBinding = NonZeroU64;

/// A finished voucher: it never changes.
#[derive(Debug)]
pub struct Voucher {
    /// The two parts of its [`Vector`], which fit better so.
    indexes: [u32; KEYS],
    slots: u8,
    chain: Chain,
    refs: u32,
    /// Whether one of the references belongs to the port, on behalf of all its send rights (vouchers 1.10).
    port_holds_one: bool,
    port: Option<PortBinding>,
}

impl Voucher {
    /// How many references there are.
    pub const fn refs(&self) -> u32 {
        self.refs
    }

    /// The port that stands for the voucher, if one was bound.
    pub const fn port(&self) -> Option<PortBinding> {
        self.port
    }

    /// Whether the port's send rights hold one of the references.
    pub const fn port_holds_one(&self) -> bool {
        self.port_holds_one
    }

    /// Indexes into the value tables of all keys, by slot.
    #[inline]
    pub(crate) const fn vector(&self) -> Vector {
        Vector::from_parts(self.indexes, self.slots)
    }

    /// Index into the value table of a key.
    #[inline]
    pub(crate) fn value(&self, key: Key) -> u32 {
        self.indexes[key.slot()]
    }
}

chained!(Voucher: chain);

/// All vouchers, at most one for each vector.
#[derive(Debug)]
pub(crate) struct VoucherTable {
    vouchers: Arena<Voucher, 128>,
    index: LinearIndex<1024>,
    hasher: FixedState,
}

impl VoucherTable {
    pub const fn new(hasher: FixedState) -> Self {
        VoucherTable { vouchers: Arena::new(), index: LinearIndex::new(), hasher }
    }

    #[inline]
    fn hash(&self, indexes: &[u32; KEYS]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        // Two at a time, but not neighbours: one of them was written just now, and to read it together with its neighbour
        // would wait for that.
        for (low, high) in indexes[..KEYS / 2].iter().zip(&indexes[KEYS / 2..]) {
            hasher.write_u64(u64::from(*high) << 32 | u64::from(*low));
        }
        hasher.finish() as u32
    }

    pub fn len(&self) -> usize {
        self.vouchers.len()
    }

    /// Bytes of memory that the index has.
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

    /// One more reference to a voucher that lives.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if there are too many; nothing has changed.
    #[inline]
    pub fn retain(&mut self, id: VoucherId) -> Result<(), Error> {
        let voucher = &mut self.vouchers[id];
        voucher.refs = voucher.refs.checked_add(1).ok_or(Error::ResourceShortage)?;
        Ok(())
    }

    /// The voucher with this vector, with one more reference, or a new one with one reference, which takes over the
    /// references to values (vouchers 1.8). Returns whether it is new.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] without memory or if there are too many references; nothing has changed.
    #[inline]
    pub fn find_or_publish(&mut self, vector: &Vector) -> Result<(VoucherId, bool), Error> {
        let indexes = *vector.indexes();
        let hash = self.hash(&indexes);
        if let Some(index) = self.index.find(&self.vouchers, hash, |voucher| voucher.indexes == indexes) {
            let (id, _) = self.vouchers.at(index).expect("an indexed voucher lives");
            self.retain(id)?;
            return Ok((id, false));
        }
        self.index.reserve()?;
        self.index.prepare(&mut self.vouchers);
        let slots = vector.slots();
        let id = self.vouchers.insert_with(|id| {
            let chain = self.index.push(id.index(), hash);
            Voucher { indexes, slots, chain, refs: 1, port_holds_one: false, port: None }
        })?;
        Ok((id, true))
    }

    /// One reference less. The last one takes the voucher out of the table, where nothing finds it any more: what is left
    /// of it is returned.
    #[inline(always)]
    pub fn release(&mut self, id: VoucherId) -> Option<DeadVoucher> {
        let voucher = &mut self.vouchers[id];
        voucher.refs -= 1;
        if voucher.refs > 0 {
            return None;
        }
        assert!(!voucher.port_holds_one, "I10: a port with send rights owns a reference");
        let dead = DeadVoucher { id, port: voucher.port, values: Release::new(voucher.vector()) };
        self.index.remove(&mut self.vouchers, id.index());
        self.vouchers.discard(id);
        Some(dead)
    }

    /// Binds a port, which stays the voucher's for its whole life.
    pub fn bind_port(&mut self, id: VoucherId, port: PortBinding) {
        let voucher = &mut self.vouchers[id];
        assert!(voucher.port.is_none(), "the association of voucher and port never changes");
        voucher.port = Some(port);
    }

    /// Gives a reference to the port. `false` if it has one already.
    pub fn give_port_one(&mut self, id: VoucherId) -> bool {
        !core::mem::replace(&mut self.vouchers[id].port_holds_one, true)
    }

    /// Takes the port's reference away, for the caller to release.
    pub fn take_from_port(&mut self, id: VoucherId) {
        let held = core::mem::replace(&mut self.vouchers[id].port_holds_one, false);
        assert!(held, "I10: a port with send rights owns a reference");
    }

    /// Sets how many references a voucher has, for tests of what happens at the limit.
    #[cfg(test)]
    pub fn set_refs(&mut self, id: VoucherId, refs: u32) {
        self.vouchers[id].refs = refs;
    }

    /// Asserts I8 and I9 of vouchers 1.13.
    pub fn check(&self) {
        assert_eq!(self.index.len(), self.vouchers.len(), "I9: the hash holds the living");
        for index in self.index.iter(&self.vouchers) {
            let (_, voucher) = self.vouchers.at(index).expect("I9: what is in the hash lives");
            assert!(voucher.refs > 0 && !voucher.vector().is_empty(), "I8: it is held and says something");
            let hash = voucher.chain.hash();
            assert_eq!(hash, self.hash(&voucher.indexes), "I7: its vector has not changed");
            let found = self.index.find(&self.vouchers, hash, |other| other.indexes == voucher.indexes);
            assert_eq!(found, Some(index), "I8: one voucher for each vector");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Vector = Vector::from_parts([0, 0, 0, 0, 0, 0, 1, 0], 0x40);
    const B: Vector = Vector::from_parts([0, 0, 0, 0, 0, 0, 0, 1], 0x80);

    fn table() -> VoucherTable {
        VoucherTable::new(FixedState::with_seed(1))
    }

    #[test]
    fn equal_vectors_are_one_voucher_until_its_last_reference_goes() {
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
    fn too_many_references_are_an_error() {
        let mut table = table();
        let (a, _) = table.find_or_publish(&A).unwrap();
        table.set_refs(a, u32::MAX);
        assert_eq!(table.find_or_publish(&A), Err(Error::ResourceShortage));
        assert_eq!(table.retain(a), Err(Error::ResourceShortage));
        assert_eq!(table.get(a).unwrap().refs(), u32::MAX);
    }

    #[test]
    fn a_voucher_is_as_small_as_it_can_be() {
        assert!(size_of::<Voucher>() <= 56, "{}", size_of::<Voucher>());
    }
}
