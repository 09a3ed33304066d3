//! [`Source`]: whose importance a message or a voucher carries.

use super::element::ElementId;
use super::inherit::InheritId;
use store::Id;

/// A task's own importance, or importance that a task received: what the specification calls an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The importance of a task.
    Task(ElementId),
    /// Importance that a task received.
    Inherit(InheritId),
}

/// The bit that marks the handle of an inherit. It is in the half of an id that is the index, where handles must differ
/// from each other, and no arena has so many objects.
const INHERIT: u64 = 1 << 31;

impl Source {
    /// Returns the handle of the value in vouchers.
    pub fn handle(self) -> u64 {
        let (bits, mark) = match self {
            Source::Task(id) => (id.to_bits(), 0),
            Source::Inherit(id) => (id.to_bits(), INHERIT),
        };
        assert_eq!(bits & INHERIT, 0, "an index is below 2^31");
        bits | mark
    }

    /// Returns the source with this handle, or `None` for the default handle.
    pub fn from_handle(handle: u64) -> Option<Source> {
        let bits = handle & !INHERIT;
        Some(if handle & INHERIT == 0 {
            Source::Task(Id::from_bits(bits)?)
        } else {
            Source::Inherit(Id::from_bits(bits)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_one_source() {
        for bits in [1 << 32, 1 << 32 | 7, u64::from(u32::MAX) << 32 | 0x7FFF_FFFF] {
            let sources = [Source::Task(Id::from_bits(bits).unwrap()), Source::Inherit(Id::from_bits(bits).unwrap())];
            for source in sources {
                assert_eq!(Source::from_handle(source.handle()), Some(source));
            }
            assert_ne!(sources[0].handle() as u32, sources[1].handle() as u32);
        }
        assert_eq!(Source::from_handle(0), None);
    }
}
