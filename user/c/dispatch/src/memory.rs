//! Reading and writing the memory of the C program: all the `unsafe` code of this crate.
//!
//! The types here are arguments of functions that C calls. Rust code cannot make their values, so that each is what the C
//! program has passed. It owes what the headers say of the argument; a program that passes anything else breaks itself,
//! as with any function of C.

use abi::message::Header;
use core::ffi::{CStr, c_char, c_int};
use core::marker::PhantomData;
use dispatch::once::Once;

/// A string, or null.
#[repr(transparent)]
pub(crate) struct Text(*const c_char);

impl Text {
    /// Returns the bytes of the string; `None` for null.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        // SAFETY: It is not null, so it is a string that ends with a zero byte and stays as it is during the call.
        (!self.0.is_null()).then(|| unsafe { CStr::from_ptr(self.0) }.to_bytes())
    }
}

/// A `dispatch_once_t`.
#[repr(transparent)]
pub(crate) struct Predicate(*const Once);

impl Predicate {
    /// Returns the predicate; `None` for null.
    pub(crate) fn get(&self) -> Option<&'static Once> {
        // SAFETY: A predicate is a static variable of at least the size and the alignment of `Once`, which is a word that
        // begins as 0. The program gives it to `dispatch_once_f` and does nothing else with it.
        unsafe { self.0.as_ref() }
    }
}

/// The place of a number, or null.
#[repr(transparent)]
pub(crate) struct Place(*mut c_int);

impl Place {
    /// Stores a number, if there is a place.
    pub(crate) fn store(self, number: c_int) {
        if !self.0.is_null() {
            // SAFETY: It is not null, so it is the address of a variable of the caller, of which nobody else has a
            // reference during the call.
            unsafe { self.0.write(number) };
        }
    }
}

/// A message.
#[repr(transparent)]
pub(crate) struct Message<'a>(*mut u8, PhantomData<&'a mut Header>);

impl Message<'_> {
    /// Returns where the message is.
    pub(crate) fn address(&self) -> usize {
        self.0.addr()
    }

    /// Returns the bytes of the header; `None` for null.
    pub(crate) fn header(&mut self) -> Option<&mut [u8]> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: It is not null, so it is the address of a message, which begins with a header, and nobody else uses it
        // during the call.
        Some(unsafe { core::slice::from_raw_parts_mut(self.0, Header::SIZE) })
    }
}
