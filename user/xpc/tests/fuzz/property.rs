//! What holds for any bytes that are given to the decoder.

use abi::port::PortName;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use xpc::wire::{DecodeError, Descriptor, encode};
use xpc::{Dictionary, Right, SendRight};

/// Rights of a task that exists in the test alone, with the number of those that have not been given back.
#[derive(Default)]
pub struct Ports {
    live: Arc<AtomicUsize>,
}

struct TestRight {
    name: PortName,
    live: Arc<AtomicUsize>,
}

impl Ports {
    /// Returns a right with this name.
    pub fn right(&self, name: u32) -> SendRight {
        self.live.fetch_add(1, Ordering::Relaxed);
        SendRight::new(TestRight { name: PortName(name), live: self.live.clone() })
    }

    /// Returns the number of rights that have not been given back.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }
}

impl Right for TestRight {
    fn name(&self) -> PortName {
        self.name
    }
}

impl Drop for TestRight {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Decodes a body with one descriptor for each element of `sends`, a send right where it is true. Panics unless the
/// bytes are those that encode what they stand for, and all rights are given back in the end. `decode` calls the
/// decoder, and may look at it from outside.
pub fn check_with(
    body: &[u8],
    sends: &[bool],
    decode: impl FnOnce(&[u8], Vec<Descriptor>) -> Result<Dictionary, DecodeError>,
) -> Result<(), DecodeError> {
    let ports = Ports::default();
    let names = || (0_u32..).map(|index| index << 8 | 3);
    let descriptors = sends.iter().zip(names()).map(|(&is_send, name)| match is_send {
        true => Descriptor::Send(ports.right(name)),
        false => Descriptor::Other,
    });
    let result = decode(body, descriptors.collect()).map(|dictionary| {
        let mut again = Vec::new();
        let rights = encode(&dictionary, &mut again).expect("what was decoded can be encoded");
        assert!(again == body, "the same dictionary is also {again:02x?}");
        assert!(rights.iter().map(|right| right.name().0).eq(names().take(sends.len())), "{rights:?}");
    });
    assert_eq!(ports.live(), 0, "rights were kept");
    result
}
