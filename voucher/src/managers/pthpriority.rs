//! [`PthPriority`]: the manager of QoS classes (vouchers 6.2).

use crate::manager::{AttributeManager, CallingTask, ManagerValue, OutBuffer, ValueRequest};
use crate::{Error, Key, ReleaseRequest};
use abi::voucher::*;
use core::task::Poll;

/// Flags of words without a QoS class: for a scheduler priority, and for the event manager.
const WITHOUT_QOS: u32 = 0x2200_0000;
/// The bits of the QoS field that stand for no class.
const NO_CLASS: u32 = 0x003F_C000;
/// The bits of the QoS field that stand for a class, one each.
const CLASS: u32 = 0x0000_3F00;
/// The bits that the canonical form keeps.
const CANONICAL: u32 = 0x003F_FFFF;
/// The low byte of relative priority 0. The byte is the relative priority minus 1.
const RELATIVE_0: u32 = 0xFF;

/// The manager of QoS classes. The handle of a value is the canonical `pthread_priority_t`. There are at most 1008
/// values, and they are permanent.
#[derive(Debug, Default)]
pub struct PthPriority;

/// Returns the canonical form of a `pthread_priority_t`: without flags, and with relative priority 0 in place of one
/// out of range. The result is 0 if the word has no QoS class.
pub const fn canonical(word: u32) -> u32 {
    if word & (WITHOUT_QOS | NO_CLASS) != 0 || word & CLASS == 0 {
        return 0;
    }
    let relative = word as u8 as i8 as i32 + 1;
    let word = if relative < -15 || relative > 0 { word & !0xFF | RELATIVE_0 } else { word };
    word & CANONICAL
}

/// Returns the priority with this handle.
pub(crate) const fn priority(handle: u64) -> u32 {
    handle as u32
}

impl AttributeManager for PthPriority {
    fn get_value(
        &mut self,
        _caller: &CallingTask,
        request: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        let word = (request.command == MACH_VOUCHER_ATTR_PTHPRIORITY_CREATE).then_some(content);
        let Some(Ok(bytes)) = word.map(<[u8; 4]>::try_from) else {
            return Poll::Ready(Err(Error::InvalidArgument));
        };
        Poll::Ready(Ok(ManagerValue::persistent(u64::from(canonical(u32::from_le_bytes(bytes))))))
    }

    fn release_value(&mut self, _request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        // Only a priority that was stored through the control is not persistent. It has no state here either.
        Poll::Ready(Ok(()))
    }

    fn extract_content(&mut self, _: &CallingTask, _: Key, handle: u64, out: &mut OutBuffer<'_>) -> Result<u32, Error> {
        out.clear();
        if out.capacity() == 0 {
            return Err(Error::InvalidValue);
        }
        out.put(&priority(handle).to_le_bytes())?;
        Ok(MACH_VOUCHER_ATTR_PTHPRIORITY_NULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_has_only_classes_and_a_relative_priority() {
        for (word, form) in
            [(0x8000_10FF, 0x10FF), (0x1000, 0x10FF), (0x10EF, 0x10FF), (0x10F0, 0x10F0), (0x30FF, 0x30FF)]
        {
            assert_eq!(canonical(word), form, "{word:#x}");
        }
        for word in [0, 0x0200_10FF, 0x2000_10FF, 0xFF, 0x40FF] {
            assert_eq!(canonical(word), 0, "{word:#x}");
        }
    }

    #[test]
    fn there_are_1008_canonical_priorities() {
        let forms: std::collections::HashSet<u32> = (0..1 << 14).map(canonical).filter(|&form| form != 0).collect();
        assert_eq!(forms.len(), 1008);
        assert!(forms.iter().all(|&form| canonical(form) == form));
    }
}
