//! [`PthPriority`]: a QoS class (vouchers 6.2).

use crate::manager::{AttributeManager, Caller, GetValue, Output, Value};
use crate::{Error, Key, ReleaseValue};
use abi::voucher::*;
use core::task::Poll;

/// Flags that say that the word holds no QoS class: a scheduler priority, and the event manager.
const WITHOUT_QOS: u32 = 0x2200_0000;
/// Bits of the QoS field that mean no class.
const NO_CLASS: u32 = 0x003F_C000;
/// Bits of the QoS field that mean a class, one for each.
const CLASS: u32 = 0x0000_3F00;
/// What the canonical form keeps.
const CANONICAL: u32 = 0x003F_FFFF;
/// The low byte for relative priority 0: it is the relative priority minus 1.
const RELATIVE_0: u32 = 0xFF;

/// The manager of QoS classes. A value's handle is the canonical `pthread_priority_t` itself; there are at most 1008, and
/// they stay for ever.
#[derive(Debug, Default)]
pub struct PthPriority;

/// The canonical form of a `pthread_priority_t`: without flags, and with a relative priority of 0 where it is out of
/// range; 0 if the word has no QoS class.
pub const fn canonical(word: u32) -> u32 {
    if word & (WITHOUT_QOS | NO_CLASS) != 0 || word & CLASS == 0 {
        return 0;
    }
    let relative = word as u8 as i8 as i32 + 1;
    let word = if relative < -15 || relative > 0 { word & !0xFF | RELATIVE_0 } else { word };
    word & CANONICAL
}

/// The priority that a handle stands for.
pub(crate) const fn priority(handle: u64) -> u32 {
    handle as u32
}

impl AttributeManager for PthPriority {
    fn get_value(&mut self, _caller: &Caller, question: &GetValue, content: &[u8]) -> Poll<Result<Value, Error>> {
        let word = (question.command == MACH_VOUCHER_ATTR_PTHPRIORITY_CREATE).then_some(content);
        let Some(Ok(bytes)) = word.map(<[u8; 4]>::try_from) else {
            return Poll::Ready(Err(Error::InvalidArgument));
        };
        Poll::Ready(Ok(Value::persistent(u64::from(canonical(u32::from_le_bytes(bytes))))))
    }

    fn release_value(&mut self, _question: &ReleaseValue) -> Poll<Result<(), Error>> {
        // A priority is persistent, unless the control's owner put its handle in; there is nothing to give up.
        Poll::Ready(Ok(()))
    }

    fn extract_content(
        &mut self,
        _caller: &Caller,
        _key: Key,
        handle: u64,
        out: &mut Output<'_>,
    ) -> Result<u32, Error> {
        out.clear();
        if out.room() == 0 {
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
    fn only_classes_with_a_relative_priority_are_left() {
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
    fn there_are_1008_of_them() {
        let forms: std::collections::HashSet<u32> = (0..1 << 14).map(canonical).filter(|&form| form != 0).collect();
        assert_eq!(forms.len(), 1008);
        assert!(forms.iter().all(|&form| canonical(form) == form));
    }
}
