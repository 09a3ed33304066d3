//! [`AttributeManager`]: what gives a key its meaning (vouchers 5).

use crate::managers::bank::BankElementId;
use crate::{Error, Key, Registration, ReleaseValue, VoucherId};
use core::task::Poll;

/// On whose behalf a call is made: the "calling task".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The kernel's number for the task; 0 is the kernel itself.
    pub task: u64,
    /// The task's element in the bank, if it has one.
    pub bank: Option<BankElementId>,
}

impl Caller {
    /// The kernel itself.
    pub const KERNEL: Caller = Caller { task: 0, bank: None };

    /// Whether the kernel itself calls.
    pub const fn is_kernel(&self) -> bool {
        self.task == 0
    }
}

/// The question for a value. The content of the recipe goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetValue {
    /// Which attribute.
    pub key: Key,
    /// The recipe's command.
    pub command: u32,
    /// The handle of the previous value, which lives until the answer; `None` if it is the default.
    pub previous: Option<u64>,
}

/// A value that a manager hands out, with one made reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// What the manager calls it. The default handle says that the attribute is absent, and nothing is counted for it.
    pub handle: u64,
    /// Whether the value lives for ever and is not counted, if this is the first time it is handed out.
    pub persist: bool,
    /// A voucher that comes with the value, with a reference. Nothing uses it yet: it is released.
    pub voucher: Option<VoucherId>,
}

impl Value {
    /// A value that is counted.
    pub const fn counted(handle: u64) -> Value {
        Value { handle, persist: false, voucher: None }
    }

    /// A value that lives for ever.
    pub const fn persistent(handle: u64) -> Value {
        Value { handle, persist: true, voucher: None }
    }
}

/// A buffer for what a manager reports, and how much of it was used.
///
/// Its size begins as all the room there is, and stays so if the manager fails without saying otherwise: the reference's
/// in-out parameter.
#[derive(Debug)]
pub struct Output<'a> {
    room: &'a mut [u8],
    size: usize,
}

impl<'a> Output<'a> {
    /// An output into `room`.
    pub const fn new(room: &'a mut [u8]) -> Self {
        let size = room.len();
        Output { room, size }
    }

    /// How many bytes there is room for.
    pub const fn room(&self) -> usize {
        self.room.len()
    }

    /// What the size stands at.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Says that nothing was reported.
    pub const fn clear(&mut self) {
        self.size = 0;
    }

    /// Reports these bytes.
    ///
    /// # Errors
    /// [`Error::NoSpace`] if there is too little room; size and bytes are unchanged.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.room.get_mut(..bytes.len()).ok_or(Error::NoSpace)?.copy_from_slice(bytes);
        self.size = bytes.len();
        Ok(())
    }

    /// The room itself, for a manager that fills it by its own means and then [claims](Output::claim) a size.
    pub const fn bytes_mut(&mut self) -> &mut [u8] {
        self.room
    }

    /// Says how many bytes were reported. A claim beyond the room makes the call fail (vouchers 4.3; quirk Q07).
    pub const fn claim(&mut self, size: usize) {
        self.size = size;
    }

    /// The size, if it is not beyond the room.
    ///
    /// # Errors
    /// [`Error::Failure`] if it is: the manager is wrong.
    pub(crate) fn checked_size(&self) -> Result<usize, Error> {
        if self.size <= self.room.len() { Ok(self.size) } else { Err(Error::Failure) }
    }
}

/// What gives a key its meaning: it invents handles for values, and knows what they stand for.
///
/// **Counting.** Each value handed out carries one *made reference*; the manager counts them for each handle. The
/// registry adds up those it has received, and when no voucher holds the value any more it offers them back, all at
/// once. The manager gives the value up if and only if the offer is all it has handed out: then nobody is about to store
/// another one. The default handle and persistent values are not counted.
///
/// **A manager of one's own** is a type that implements this, and one registration:
///
/// ```
/// use std::{collections::HashMap, task::Poll};
/// use voucher::*;
///
/// /// Keeps one letter: the handle is the letter itself, and all there is to know is how often it was handed out.
/// #[derive(Default)]
/// struct Letters {
///     made: HashMap<u64, u64>,
/// }
///
/// const LETTER: u32 = 900;
///
/// impl AttributeManager for Letters {
///     fn get_value(&mut self, _: &Caller, question: &GetValue, content: &[u8]) -> Poll<Result<Value, Error>> {
///         let &[letter] = content else { return Poll::Ready(Err(Error::InvalidArgument)) };
///         if question.command != LETTER {
///             return Poll::Ready(Err(Error::InvalidArgument));
///         }
///         *self.made.entry(letter.into()).or_default() += 1;
///         Poll::Ready(Ok(Value::counted(letter.into())))
///     }
///
///     fn release_value(&mut self, question: &ReleaseValue) -> Poll<Result<(), Error>> {
///         if self.made.get(&question.handle) != Some(&question.sync) {
///             return Poll::Ready(Err(Error::Failure));
///         }
///         self.made.remove(&question.handle);
///         Poll::Ready(Ok(()))
///     }
///
///     fn extract_content(&mut self, _: &Caller, _: Key, handle: u64, out: &mut Output<'_>) -> Result<u32, Error> {
///         out.put(&[handle as u8])?;
///         Ok(LETTER)
///     }
/// }
///
/// let mut vouchers = Vouchers::new(4711, Default::default())?;
/// vouchers.register(5, Box::new(Letters::default()))?;
///
/// let caller = Caller { task: 1, bank: None };
/// let recipes = [Recipe::new(5, LETTER, b"x")];
/// let voucher = create(&mut vouchers, &caller, &mut Recipes::new(&recipes)).done()?.expect("it says something");
/// assert_eq!(vouchers.registry.handle(voucher, Key::new(5).unwrap()), Some(u64::from(b'x')));
/// assert!(release(&mut vouchers, voucher).is_none());
/// # Ok::<(), Error>(())
/// ```
///
/// A manager that cannot answer at once returns [`Poll::Pending`] from [`get_value`](AttributeManager::get_value) or
/// [`release_value`](AttributeManager::release_value), and whoever drives it says the answer later.
pub trait AttributeManager {
    /// What is to be registered: the default handle, the message operations that the manager takes part in, and how many
    /// values there may be.
    fn registration(&self) -> Registration {
        Registration::default()
    }

    /// Finds or makes the value that a recipe asks for.
    ///
    /// # Errors
    /// Any; then no made reference was given. Commands that the manager does not know:
    /// [`Error::InvalidArgument`].
    fn get_value(&mut self, caller: &Caller, question: &GetValue, content: &[u8]) -> Poll<Result<Value, Error>>;

    /// Gives up a value, with all made references: if the offer is all there are.
    ///
    /// # Errors
    /// Any, if more were handed out; then nothing is given up.
    fn release_value(&mut self, question: &ReleaseValue) -> Poll<Result<(), Error>>;

    /// Reports what a value stands for, and the command with which a recipe would say it.
    ///
    /// # Errors
    /// Any; usually [`Error::NoSpace`].
    fn extract_content(&mut self, caller: &Caller, key: Key, handle: u64, out: &mut Output<'_>) -> Result<u32, Error>;

    /// Executes a command of the manager's own on a value, or on the default if there is no handle.
    ///
    /// # Errors
    /// Any. A manager without commands answers [`Error::Failure`].
    fn command(
        &mut self,
        _caller: &Caller,
        _key: Key,
        _handle: Option<u64>,
        _command: u32,
        _input: &[u8],
        _out: &mut Output<'_>,
    ) -> Result<(), Error> {
        Err(Error::Failure)
    }

    /// The key's control has gone: no value is in use any more.
    fn release(&mut self) {}
}
