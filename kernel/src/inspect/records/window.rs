//! [`Window`]: the part of a table that one call of `inspect` lists.

use crate::machine::{AddressSpace, Machine, UserAddr};
use abi::KernReturn;
use abi::code::{KERN_INVALID_ARGUMENT, KERN_MEMORY_ERROR};
use abi::inspect::Cursor;
use store::{Id, Table};
use zerocopy::{Immutable, IntoBytes};

/// The greatest number of records that a call writes.
const RECORDS_MAX: u64 = 64;
/// The greatest number of places that a call visits. Most of a table's places can be empty.
const PLACES_MAX: u32 = 512;

/// The part of a table that a call lists, and the buffer for the records.
pub(super) struct Window<'m> {
    machine: &'m mut dyn Machine,
    space: AddressSpace,
    buffer: UserAddr,
    /// Bytes that are left in the buffer.
    room: u64,
    place: u64,
    records: u64,
}

impl<'m> Window<'m> {
    /// Returns the window from a place on, onto a user's buffer.
    pub(super) fn new(
        machine: &'m mut dyn Machine,
        space: AddressSpace,
        buffer: UserAddr,
        room: u64,
        place: u64,
    ) -> Window<'m> {
        Window { machine, space, buffer, room, place, records: 0 }
    }

    /// Returns the cursor for the next call.
    pub(super) fn cursor(&self) -> Cursor {
        Cursor { place: self.place, records: self.records }
    }

    /// Ends the listing.
    pub(super) fn end(&mut self) {
        self.place = Cursor::END;
    }

    /// Writes a record. Returns false if there is no room for it.
    ///
    /// # Errors
    /// `KERN_MEMORY_ERROR` if the buffer cannot be written.
    fn put<R: IntoBytes + Immutable>(&mut self, record: &R) -> Result<bool, KernReturn> {
        let size = size_of::<R>() as u64;
        if self.records == RECORDS_MAX || self.room < size {
            return Ok(false);
        }
        let to = self.machine.copy_out(self.space, self.buffer, record.as_bytes());
        to.map_err(|_| KERN_MEMORY_ERROR)?;
        self.buffer = self.buffer.plus(size);
        self.room -= size;
        self.records += 1;
        Ok(true)
    }

    /// Writes the records that `record` returns for the places of a table with `places` places.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if the buffer has no room for one record; `KERN_MEMORY_ERROR` if it cannot be written.
    pub(super) fn list_places<R: IntoBytes + Immutable>(
        &mut self,
        places: u32,
        mut record: impl FnMut(u32) -> Option<R>,
    ) -> Result<(), KernReturn> {
        if self.room < size_of::<R>() as u64 {
            return Err(KERN_INVALID_ARGUMENT);
        }
        let first = u32::try_from(self.place).unwrap_or(u32::MAX);
        let end = places.min(first.saturating_add(PLACES_MAX));
        for place in first..end {
            if let Some(record) = record(place)
                && !self.put(&record)?
            {
                self.place = place.into();
                return Ok(());
            }
        }
        self.place = if end < places { end.into() } else { Cursor::END };
        Ok(())
    }

    /// Writes the records that `record` returns for the objects of a table.
    ///
    /// # Errors
    /// As for [`list_places`](Window::list_places).
    pub(super) fn list<A: Table<Tag>, Tag, R: IntoBytes + Immutable>(
        &mut self,
        table: &A,
        mut record: impl FnMut(Id<Tag>, &A::Object) -> Option<R>,
    ) -> Result<(), KernReturn> {
        self.list_places(table.places(), |place| table.at(place).and_then(|(id, object)| record(id, object)))
    }
}
