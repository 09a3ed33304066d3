//! Activities: numbers that follow a piece of work through all programs that take part in it (dispatch 3).
//!
//! An activity travels in the voucher, and in nothing else (dispatch A-7).

mod trace;

pub use trace::{Event, Record, TRACE_DATA_MAX, Trace, trace};

use crate::process::{Process, process};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};
use crate::voucher::{self, Voucher, VoucherScope};
use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The number of an activity: eight bits of [`ActivityMode`], then a number that no other activity has until the
/// machine restarts; 0 for none (dispatch A-1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct ActivityId(pub u64);

impl ActivityId {
    /// No activity.
    pub const NONE: ActivityId = ActivityId(0);
    /// The bits of the number.
    const NUMBER: u64 = (1 << 56) - 1;

    /// Returns the id without its modes.
    pub const fn number(self) -> u64 {
        self.0 & ActivityId::NUMBER
    }

    /// Returns how the activity is traced.
    pub const fn mode(self) -> ActivityMode {
        ActivityMode::from_bits_retain((self.0 >> 56) as u8)
    }

    /// Returns true if there is no activity.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

bitflags! {
    /// How an activity is traced: the high byte of its id (dispatch A-2). What an activity has, its children have.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct ActivityMode: u8 {
        /// Records of the level "info" are kept.
        const INFO = 0x01;
        /// Records of the level "debug" are kept.
        const DEBUG = 0x02;
        /// Records are streamed.
        const LIVE_STREAM = 0x04;
        /// Records have precise times.
        const PRECISE_TIMES = 0x80;
    }
}

bitflags! {
    /// How [`Activity::create`] treats what is there already (dispatch 3.4).
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct ActivityFlags: u32 {
        /// The activity is a new beginning: whatever the parent, it has none, nor any attribute of its voucher.
        const DETACHED = 1;
        /// If the calling thread works for an activity, that one is returned and none created.
        const IF_NONE_PRESENT = 2;
    }
}

/// An activity, the process that created it, and the activity that it is part of (dispatch A-4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// The activity.
    pub activity: ActivityId,
    /// The unique pid of its creator.
    pub creator: u64,
    /// The activity that it was based on, if any.
    pub parent: ActivityId,
}

impl Identity {
    /// No activity.
    pub const NONE: Identity = Identity { activity: ActivityId::NONE, creator: 0, parent: ActivityId::NONE };

    /// Returns true if there is no activity.
    pub const fn is_none(self) -> bool {
        self.activity.is_none()
    }
}

/// An activity as user data of a kernel voucher (dispatch 3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct UserData {
    magic: u32,
    priority: u32,
    activity: u64,
    creator: u64,
    parent: u64,
}

impl UserData {
    /// The size, in bytes.
    pub(crate) const SIZE: usize = size_of::<UserData>();
    const MAGIC: u32 = 0x0390_CEFA;

    /// Returns the user data of an activity.
    pub(crate) fn new(identity: Identity) -> UserData {
        let Identity { activity, creator, parent } = identity;
        UserData { magic: UserData::MAGIC, priority: 0, activity: activity.0, creator, parent: parent.0 }
    }

    /// Decodes user data of a received voucher. `None` if there are too few of them, which are left alone. Data that
    /// are no activity's give no activity.
    pub(crate) fn identity(bytes: &[u8]) -> Option<Identity> {
        let (data, _) = UserData::read_from_prefix(bytes).ok()?;
        if data.magic != UserData::MAGIC || data.activity == 0 {
            return Some(Identity::NONE);
        }
        let UserData { activity, creator, parent, .. } = data;
        Some(Identity { activity: ActivityId(activity), creator, parent: ActivityId(parent) })
    }
}

/// Activities of a process: its supply of ids, and the trace.
#[derive(Default)]
pub struct Activities {
    ids: Mutex<Ids>,
    creator: AtomicU64,
    precise_times: AtomicBool,
    /// What happened lately.
    pub trace: Trace,
}

/// The ids that the process may still give out.
#[derive(Default)]
struct Ids {
    next: u64,
    left: u32,
}

/// The number of ids that the kernel gives a process at a time (dispatch A-3).
const IDS_AT_ONCE: u32 = 16;

impl Activities {
    /// Asks for precise times in the records of all activities that the process creates from now on.
    pub fn set_precise_times(&self, on: bool) {
        self.precise_times.store(on, Ordering::Relaxed);
    }
}

impl Process {
    /// Returns a new activity of this process.
    fn new_identity(&self, parent: ActivityId, mode: ActivityMode) -> Identity {
        let precise = self.activities.precise_times.load(Ordering::Relaxed);
        let global = if precise { ActivityMode::PRECISE_TIMES } else { ActivityMode::empty() };
        let mode = mode | parent.mode() | global;
        let activity = ActivityId(u64::from(mode.bits()) << 56 | self.next_number());
        Identity { activity, creator: self.creator(), parent }
    }

    fn next_number(&self) -> u64 {
        let mut ids = self.activities.ids.lock();
        if ids.left == 0 {
            let block = self.kernel.generate_activity_ids();
            *ids = Ids { next: block.wrapping_mul(IDS_AT_ONCE.into()) & ActivityId::NUMBER, left: IDS_AT_ONCE };
        }
        let number = ids.next;
        *ids = Ids { next: number.wrapping_add(1) & ActivityId::NUMBER, left: ids.left - 1 };
        number.max(1)
    }

    /// Returns the unique pid of this process, which is asked for once. It is not 0.
    fn creator(&self) -> u64 {
        match self.activities.creator.load(Ordering::Relaxed) {
            0 => {
                let creator = self.kernel.unique_pid();
                self.activities.creator.store(creator, Ordering::Relaxed);
                creator
            }
            creator => creator,
        }
    }
}

/// What a new activity is part of.
#[derive(Clone, Copy, Debug, Default)]
pub enum Parent<'a> {
    /// Nothing: it is a beginning.
    None,
    /// The calling thread's voucher and activity.
    #[default]
    Current,
    /// That of a voucher.
    Of(&'a Arc<Voucher>),
}

/// Returns a voucher with a new activity and all other attributes of the base's (`voucher_activity_create_with_data`,
/// dispatch 3.3). It takes effect when it is adopted. `data` goes into the trace.
///
/// The voucher prolongs a boost that came with the base's. Activities that live long should be based on a
/// [copy without importance](voucher::copy_without_importance), or on none (dispatch A-8).
///
/// More than [`TRACE_DATA_MAX`] bytes of data end the program.
pub fn create_voucher(base: Parent<'_>, mode: ActivityMode, data: &[u8]) -> Arc<Voucher> {
    let process = process();
    let current = voucher::copy();
    let base = match base {
        Parent::None => None,
        Parent::Current => current.as_ref(),
        Parent::Of(voucher) => Some(voucher),
    };
    let parent = base.map_or(ActivityId::NONE, |base| base.identity().activity);
    let identity = process.new_identity(parent, mode);
    process.trace_creation(current.as_deref(), identity, data);
    Arc::new(match base {
        Some(base) => Voucher::with_identity(base, identity),
        None => Voucher::of_identity(process, identity),
    })
}

/// A piece of work that has a number.
#[derive(Clone, Debug)]
pub struct Activity {
    voucher: Arc<Voucher>,
}

impl Activity {
    /// Creates an activity. The label, of which the first [`TRACE_DATA_MAX`] bytes count, appears in the trace.
    pub fn create(label: &str, parent: Parent<'_>, flags: ActivityFlags) -> Activity {
        let current = voucher::copy().filter(|voucher| !voucher.identity().is_none());
        if let (true, Some(voucher)) = (flags.contains(ActivityFlags::IF_NONE_PRESENT), current) {
            return Activity { voucher };
        }
        let parent = if flags.contains(ActivityFlags::DETACHED) { Parent::None } else { parent };
        let label = &label.as_bytes()[..label.len().min(TRACE_DATA_MAX)];
        Activity { voucher: create_voucher(parent, ActivityMode::empty(), label) }
    }

    /// Returns the activity and its parent that the calling thread works for (dispatch A-6).
    pub fn current_id() -> (ActivityId, ActivityId) {
        let identity = current();
        (identity.activity, identity.parent)
    }

    /// Returns the id, the creator and the parent.
    pub fn identity(&self) -> Identity {
        self.voucher.identity()
    }

    /// Returns the voucher that carries the activity.
    pub fn voucher(&self) -> &Arc<Voucher> {
        &self.voucher
    }

    /// Lets the calling thread work for the activity until the scope is dropped.
    pub fn scope(&self) -> ActivityScope {
        ActivityScope { _scope: VoucherScope::new(Some(self.voucher.clone())) }
    }

    /// Calls a function that works for the activity.
    pub fn apply<R>(&self, f: impl FnOnce() -> R) -> R {
        let _scope = self.scope();
        f()
    }
}

/// Returns what the calling thread works for, [`Identity::NONE`] if for no activity.
pub fn current() -> Identity {
    voucher::copy().map_or(Identity::NONE, |voucher| voucher.identity())
}

/// The calling thread works for an activity until this is dropped, and then for what it worked before.
#[must_use]
pub struct ActivityScope {
    _scope: VoucherScope,
}
