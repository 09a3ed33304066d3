//! [`AttributeManager`]: the meaning of a key's values (vouchers 5).

use crate::importance::ElementId;
use crate::managers::bank::BankElementId;
use crate::{Error, Key, Registration, ReleaseRequest, VoucherId};
use core::task::Poll;

/// The "calling task", on whose behalf a call is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallingTask {
    /// The kernel's number for the task; 0 is the kernel itself.
    pub task: u64,
    /// The task's element in the bank, if it has one.
    pub bank: Option<BankElementId>,
    /// The task's importance, if it has any.
    pub importance: Option<ElementId>,
}

impl CallingTask {
    /// The kernel itself.
    pub const KERNEL: CallingTask = CallingTask { task: 0, bank: None, importance: None };

    /// Returns true if the kernel itself calls.
    pub const fn is_kernel(&self) -> bool {
        self.task == 0
    }
}

/// The request to a manager for a value. The content of the recipe comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueRequest {
    /// The key of the attribute.
    pub key: Key,
    /// The recipe's command.
    pub command: u32,
    /// The handle of the previous value, or `None` for the default. The value lives until the request is answered.
    pub previous: Option<u64>,
}

/// A value as a manager hands it out, with one made reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagerValue {
    /// The manager's name for the value. The default handle means that the attribute is absent, and is not counted.
    pub handle: u64,
    /// True if the value is permanent and not counted. Only the first time a value is handed out matters.
    pub persist: bool,
    /// A voucher that comes with the value, with a reference. It is released without being used.
    pub voucher: Option<VoucherId>,
}

impl ManagerValue {
    /// Returns a value that is counted.
    pub const fn counted(handle: u64) -> ManagerValue {
        ManagerValue { handle, persist: false, voucher: None }
    }

    /// Returns a value that is permanent.
    pub const fn persistent(handle: u64) -> ManagerValue {
        ManagerValue { handle, persist: true, voucher: None }
    }
}

/// A command to a manager (`mach_voucher_attr_command`).
#[derive(Clone, Copy, Debug)]
pub struct CommandRequest<'a> {
    /// The key of the attribute.
    pub key: Key,
    /// The handle of the value, or `None` for the default.
    pub handle: Option<u64>,
    /// The number of the command, of the manager's choice.
    pub command: u32,
    /// The argument of the command.
    pub input: &'a [u8],
}

/// A buffer for the result of a manager, with the size of the result.
///
/// The size starts as the capacity of the buffer. It keeps that value if the manager fails without setting it, as the
/// reference's in-out parameter does.
#[derive(Debug)]
pub struct OutBuffer<'a> {
    bytes: &'a mut [u8],
    size: usize,
}

impl<'a> OutBuffer<'a> {
    /// Returns a buffer over `bytes`.
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        let size = bytes.len();
        OutBuffer { bytes, size }
    }

    /// Returns the capacity of the buffer.
    pub const fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the size of the result.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Sets the size to 0: the result is empty.
    pub const fn clear(&mut self) {
        self.size = 0;
    }

    /// Sets the result to these bytes.
    ///
    /// # Errors
    /// [`Error::NoSpace`] if the capacity is too small; size and bytes are unchanged.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes.get_mut(..bytes.len()).ok_or(Error::NoSpace)?.copy_from_slice(bytes);
        self.size = bytes.len();
        Ok(())
    }

    /// Returns the whole buffer, for a manager that writes to it directly and then [claims](OutBuffer::claim) a size.
    pub const fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// Sets the size of the result. A size beyond the capacity makes the call fail (vouchers 4.3; quirk Q07).
    pub const fn claim(&mut self, size: usize) {
        self.size = size;
    }

    /// Returns the size of the result.
    ///
    /// # Errors
    /// [`Error::Failure`] if the manager claimed a size beyond the capacity.
    pub(crate) fn checked_size(&self) -> Result<usize, Error> {
        if self.size <= self.bytes.len() { Ok(self.size) } else { Err(Error::Failure) }
    }
}

/// The manager of a key's values: it chooses a handle for each value, and interprets the handles.
///
/// **Counting.** Each value handed out comes with one *made reference*, and the manager counts them for each handle.
/// The registry adds up the made references that it receives. When the last voucher drops the value, the registry
/// offers them back all at once. The manager releases the value if and only if the offer equals its own count: a larger
/// count means that another made reference is on its way to the registry. The default handle and persistent values are
/// not counted.
///
/// **A new manager** is a type that implements this trait, and one registration:
///
/// ```
/// use std::{collections::HashMap, task::Poll};
/// use voucher::*;
///
/// /// A manager of letters. The handle is the letter itself, so the manager keeps only the counts of made references.
/// #[derive(Default)]
/// struct Letters {
///     made: HashMap<u64, u64>,
/// }
///
/// const LETTER: u32 = 900;
///
/// impl AttributeManager for Letters {
///     fn get_value(
///         &mut self,
///         _: &CallingTask,
///         request: &ValueRequest,
///         content: &[u8],
///     ) -> Poll<Result<ManagerValue, Error>> {
///         let &[letter] = content else { return Poll::Ready(Err(Error::InvalidArgument)) };
///         if request.command != LETTER {
///             return Poll::Ready(Err(Error::InvalidArgument));
///         }
///         *self.made.entry(letter.into()).or_default() += 1;
///         Poll::Ready(Ok(ManagerValue::counted(letter.into())))
///     }
///
///     fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
///         if self.made.get(&request.handle) != Some(&request.sync) {
///             return Poll::Ready(Err(Error::Failure));
///         }
///         self.made.remove(&request.handle);
///         Poll::Ready(Ok(()))
///     }
///
///     fn extract_content(
///         &mut self,
///         _: &CallingTask,
///         _: Key,
///         handle: u64,
///         out: &mut OutBuffer<'_>,
///     ) -> Result<u32, Error> {
///         out.put(&[handle as u8])?;
///         Ok(LETTER)
///     }
/// }
///
/// let mut vouchers = Vouchers::new(4711, Default::default())?;
/// vouchers.register(5, Box::new(Letters::default()))?;
///
/// let caller = CallingTask { task: 1, ..Default::default() };
/// let recipes = [Recipe::new(5, LETTER, b"x")];
/// let created = create_voucher(&mut vouchers, &caller, &mut Recipes::new(&recipes)).expect_done()?;
/// let voucher = created.expect("an attribute is present");
/// assert_eq!(vouchers.registry.handle(voucher, Key::new(5).unwrap()), Some(u64::from(b'x')));
/// assert!(release_voucher(&mut vouchers, voucher).is_none());
/// # Ok::<(), Error>(())
/// ```
///
/// A manager that cannot answer at once returns [`Poll::Pending`] from [`get_value`](AttributeManager::get_value) or
/// [`release_value`](AttributeManager::release_value). Its driver passes the answer on later.
pub trait AttributeManager {
    /// Returns the properties to register: the default handle, the message operations in which the manager takes part,
    /// and the largest number of values.
    fn registration(&self) -> Registration {
        Registration::default()
    }

    /// Finds or makes the value that a recipe requests.
    ///
    /// # Errors
    /// Any; no made reference is handed out then. The error for an unknown command is [`Error::InvalidArgument`].
    fn get_value(
        &mut self,
        caller: &CallingTask,
        request: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>>;

    /// Releases a value and its made references if the offer is equal to the manager's count.
    ///
    /// # Errors
    /// Any, if the manager has handed out more made references; it keeps the value then.
    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>>;

    /// Writes the content of a value to `out` and returns the command of the recipe that describes it.
    ///
    /// # Errors
    /// Any; usually [`Error::NoSpace`].
    fn extract_content(
        &mut self,
        caller: &CallingTask,
        key: Key,
        handle: u64,
        out: &mut OutBuffer<'_>,
    ) -> Result<u32, Error>;

    /// Executes a command on a value.
    ///
    /// # Errors
    /// Any. A manager without commands returns [`Error::Failure`].
    fn command(
        &mut self,
        _caller: &CallingTask,
        _request: &CommandRequest<'_>,
        _out: &mut OutBuffer<'_>,
    ) -> Result<(), Error> {
        Err(Error::Failure)
    }

    /// Ends the registration: the key's control is gone, and no value is in use.
    fn release(&mut self) {}
}
